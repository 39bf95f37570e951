import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { evidenceText, progressText } from '../../model/migration-details.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import type { MigrationView } from '../migration-view.ts';
import type { Ferry } from '../open-ferry.ts';
import { checked } from './arguments.ts';
import { stateNote } from './progress-bar.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { pythonTime } from './volume-properties.ts';

const id = z
  .uuid({ error: 'is not an id (expected the UUID of a volume or of a migration)' })
  .transform((text) => text.toLowerCase());

/** `ferry migration show`: one migration's record, with its live state while it runs. */
export function addMigrationShow(migration: Command): void {
  migration
    .command('show')
    .description('show a migration: its record, and where it is while it runs')
    .addArgument(
      new Argument('<id>', "the volume's id (its last migration), or the migration's").argParser(checked('id', id)),
    )
    .action((idOrVolume: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const record = await ferry.findMigration(idOrVolume);
        const live = record.outcome === null ? await liveState(ferry, record.volumeId) : null;
        answer({ ...record, live }, propertyTable(migrationProperties(record, live)));
      }),
    );
}

/** The record is worth showing also when Temporal cannot be asked. */
async function liveState(ferry: Ferry, volumeId: string): Promise<MigrationView | null> {
  try {
    return await ferry.migrationState(volumeId);
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    process.stderr.write(`warning: ${error.message}\n`);
    return null;
  }
}

export function migrationProperties(r: MigrationRecord, live: MigrationView | null): Record<string, unknown> {
  return {
    id: r.id,
    volume: r.volumeId,
    tenant_id: r.tenantId,
    requested_by: r.requestedBy,
    source: r.source,
    destination: r.destination,
    source_name_id: r.sourceNameId,
    destination_name_id: r.destinationNameId,
    old_type: r.oldType,
    new_type: r.newType,
    flow: r.flow,
    phase: live?.phase ?? r.phase,
    ...(live ? { progress: progressText(live) || null, note: stateNote(live) } : {}),
    outcome: r.outcome,
    error: r.error ? `${r.error.type}: ${r.error.message}` : null,
    ...(r.undoes ? { undoes: r.undoes } : {}),
    source_kept_until: r.keptUntil ? pythonTime(r.keptUntil) : null,
    total_bytes: r.totalBytes,
    transferred_bytes: r.transferredBytes,
    digest: r.digest,
    proof: r.proof,
    ...(r.evidence ? { proven_by: evidenceText(r.evidence) } : {}),
    started_at: pythonTime(r.startedAt),
    finished_at: r.finishedAt ? pythonTime(r.finishedAt) : null,
    phases: r.phases.map((p) => `${p.phase} ${p.at.toISOString().slice(11, 23)}`).join(', '),
  };
}
