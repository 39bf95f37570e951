import type { MigrationRecord } from '../../../model/migration.ts';
import type { MigrationView } from '../../migration-view.ts';
import { timeText } from '../times.ts';

/** A migration with what only Ferry knows of it. `running`: as it is now, when its workflow can be asked. */
export function presentMigration(record: MigrationRecord, running: MigrationView | null = null): object {
  return {
    id: record.id,
    volume_id: record.volumeId,
    project_id: record.tenantId,
    requested_by: record.requestedBy,
    source: record.source,
    destination: record.destination,
    flow: record.flow,
    phase: running?.phase ?? record.phase,
    outcome: record.outcome,
    error: record.error === null ? null : { type: record.error.type, message: record.error.message },
    old_type: record.oldType,
    new_type: record.newType,
    total_bytes: record.totalBytes,
    transferred_bytes: record.transferredBytes,
    proof: record.proof,
    started_at: timeText(record.startedAt),
    finished_at: record.finishedAt === null ? null : timeText(record.finishedAt),
    kept_until: record.keptUntil === null ? null : timeText(record.keptUntil),
    progress:
      running === null
        ? null
        : {
            bytes_done: running.bytesDone,
            bytes_per_second: Math.round(running.bytesPerSecond),
            bandwidth: running.bandwidth,
            paused: running.paused,
            waiting_for: running.waitingFor,
            trouble: running.trouble,
          },
  };
}
