import { metricMeter } from '@temporalio/workflow';
import type { FerryErrorType } from '../model/errors.ts';
import type { MigrationEnd, MigrationStory } from '../model/migration-details.ts';
import { metrics } from '../model/metrics.ts';
import type { Phase } from '../model/migration.ts';

const ended = metricMeter.createCounter(metrics.migrationsEnded, undefined, 'Migrations by how they ended');
/** What no record tells. All else is counted from the registry, by whichever control worker looks. */
const unrecorded = 'refused' satisfies MigrationEnd['outcome'];
const errors = metricMeter.createCounter(
  metrics.migrationErrors,
  undefined,
  'Failed migrations by the error that ended them',
);
const phaseSeconds = metricMeter.createHistogram(
  metrics.phaseSeconds,
  'float',
  's',
  'How long migrations were in a phase',
);

/** Errors that are on no record, or only much later. */
const unrecordedErrors = ['ParkedForOperator', 'Fenced'] as const satisfies FerryErrorType[];

/** Remembers what a migration went through: for those who look at it, and for the metrics. Replays count nothing twice. */
export class MigrationStoryTeller implements MigrationStory {
  readonly phases: { phase: Phase; at: number }[] = [];
  progressAt: number | null = null;
  end: MigrationEnd | null = null;

  constructor() {
    // A counter that appears with its first failure would show no rise.
    ended.add(0, { outcome: unrecorded });
    for (const type of unrecordedErrors) errors.add(0, { type });
  }

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

  /** Counted when it happens: it may be long before an operator ends it. */
  parked(): void {
    errors.add(1, { type: 'ParkedForOperator' });
  }

  ended(end: MigrationEnd): void {
    this.end = end;
    if (end.outcome === unrecorded) ended.add(1, { outcome: unrecorded });
    if (end.outcome === 'error' && end.reason?.type === 'Fenced') errors.add(1, { type: 'Fenced' });
  }
}
