import { metricMeter } from '@temporalio/workflow';
import type { FerryErrorType } from '../model/errors.ts';
import type { MigrationEnd, MigrationStory } from '../model/migration-details.ts';
import { metrics } from '../model/metrics.ts';
import type { Phase } from '../model/migration.ts';

const ended = metricMeter.createCounter(metrics.migrationsEnded, undefined, 'Migrations by how they ended');
const outcomes = ['success', 'error', 'cancelled', 'refused'] as const satisfies MigrationEnd['outcome'][];
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

/** Errors after which somebody must look. */
const gravest = ['ChecksumMismatch', 'ParkedForOperator', 'Fenced'] as const satisfies FerryErrorType[];

/** Remembers what a migration went through: for those who look at it, and for the metrics. Replays count nothing twice. */
export class MigrationStoryTeller implements MigrationStory {
  readonly phases: { phase: Phase; at: number }[] = [];
  progressAt: number | null = null;
  end: MigrationEnd | null = null;

  constructor() {
    // A counter that appears with its first failure would show no rise.
    for (const outcome of outcomes) ended.add(0, { outcome });
    for (const type of gravest) errors.add(0, { type });
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
    ended.add(1, { outcome: end.outcome });
    if (end.outcome === 'error' && end.reason) errors.add(1, { type: end.reason.type });
  }
}
