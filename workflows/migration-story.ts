import { metricMeter } from '@temporalio/workflow';
import type { MigrationEnd, MigrationStory } from '../model/migration-details.ts';
import { metrics } from '../model/metrics.ts';
import type { Flow, Phase } from '../model/migration.ts';

const ended = metricMeter.createCounter(metrics.migrationsEnded, undefined, 'Migrations by how they ended');
const phaseSeconds = metricMeter.createHistogram(
  metrics.phaseSeconds,
  'float',
  's',
  'How long migrations were in a phase',
);

/** Remembers what a migration went through: for those who look at it, and for the metrics. Replays count nothing twice. */
export class MigrationStoryTeller implements MigrationStory {
  readonly phases: { phase: Phase; at: number }[] = [];
  progressAt: number | null = null;
  end: MigrationEnd | null = null;

  entered(phase: Phase): void {
    const at = Date.now();
    const left = this.phases.at(-1);
    if (left) phaseSeconds.record((at - left.at) / 1000, { phase: left.phase });
    this.phases.push({ phase, at });
    this.progressAt = null;
  }

  progressed(): void {
    this.progressAt = Date.now();
  }

  ended(end: MigrationEnd, flow: Flow | null): void {
    this.end = end;
    ended.add(1, { outcome: end.outcome, flow: flow ?? 'none' });
  }
}
