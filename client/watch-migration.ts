import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../model/errors.ts';
import type { MigrationRecord } from '../model/migration.ts';
import { migrationWorkflowId } from '../model/names.ts';
import { findMigration } from '../registry/migrations.ts';
import type { Context } from './context.ts';
import { readMigration, type MigrationView } from './migration-view.ts';
import { notMigrating } from './not-migrating.ts';
import type { Temporal } from './temporal.ts';
import { workflowResult } from './workflow-result.ts';

/** What a watcher hears: progress, that a service does not answer just now, and in the end how it went. */
export type MigrationEvent =
  | { kind: 'progress'; view: MigrationView }
  | { kind: 'unreachable'; message: string }
  | { kind: 'ended'; record: MigrationRecord };

export interface WatchOptions {
  /** Of one that was just started; else the one that runs. */
  migrationId?: string;
  everyMs?: number;
}

/** A service that is being restarted is back by then. */
const patienceMs = 60_000;

/**
 * A migration's events until its end; the last one is `ended`. Goes on over restarts of Temporal, Postgres and control workers;
 * `ServiceUnreachable` when one is away for a minute: the migration goes on. `NotMigrating` when none runs.
 */
export async function* watchMigration(
  context: Context,
  volumeId: string,
  options: WatchOptions = {},
): AsyncGenerator<MigrationEvent, void> {
  const { everyMs = 500 } = options;
  const temporal = await context.temporal();
  const migrationId = options.migrationId ?? (await runningMigration(context, temporal, volumeId));
  const stop = new AbortController();
  const end = endOf(temporal, volumeId, migrationId, stop.signal);
  // It may fail while the first look is still under way: that is told in its turn.
  end.catch(() => {});
  try {
    for (;;) {
      const event = await currentEvent(temporal, volumeId, migrationId);
      if (event) yield event;
      const ended = await Promise.race([end, sleep(everyMs, null, { signal: stop.signal }).catch(() => null)]);
      if (ended) {
        yield { kind: 'ended', record: await recordOf(context, migrationId, ended.error) };
        return;
      }
    }
  } finally {
    stop.abort();
    await end.catch(() => {});
  }
}

async function runningMigration(context: Context, temporal: Temporal, volumeId: string): Promise<string> {
  const found = await readMigration(temporal, volumeId);
  if (!found?.running) throw await notMigrating(context, volumeId);
  return found.view.migrationId;
}

/** Resolves when the workflow has closed, with what it failed with. Rejects when Temporal is away for too long. */
async function endOf(
  temporal: Temporal,
  volumeId: string,
  migrationId: string,
  signal: AbortSignal,
): Promise<{ error: unknown }> {
  const handle = await temporal.call((client) =>
    Promise.resolve(client.workflow.getHandle(migrationWorkflowId(volumeId), migrationId)),
  );
  try {
    await workflowResult(temporal, handle, signal);
    return { error: null };
  } catch (error) {
    if (error instanceof FerryError && error.type === 'ServiceUnreachable') throw error;
    return { error };
  }
}

async function currentEvent(temporal: Temporal, volumeId: string, migrationId: string): Promise<MigrationEvent | null> {
  try {
    const found = await readMigration(temporal, volumeId, migrationId);
    return found?.running ? { kind: 'progress', view: found.view } : null;
  } catch (error) {
    if (!(error instanceof FerryError) || error.type !== 'ServiceUnreachable') throw error;
    return { kind: 'unreachable', message: error.message };
  }
}

/** How it ended, from the registry: waits for a Postgres that is being restarted. Without a record: what the workflow said. */
async function recordOf(context: Context, migrationId: string, workflowError: unknown): Promise<MigrationRecord> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      const record = await findMigration(context.registry, migrationId);
      if (record.outcome !== null) return record;
      throw new FerryError(
        'ToolFailed',
        `The workflow of migration ${migrationId} has ended, but volume ${record.volumeId} was not released (${workflowError instanceof Error ? workflowError.message : 'no error'}).`,
        { migrationId },
      );
    } catch (error) {
      if (!(error instanceof FerryError)) throw error;
      if (error.type === 'MigrationNotFound' && workflowError !== null) throw workflowError;
      if (error.type !== 'ServiceUnreachable' || Date.now() >= deadline) throw error;
      await sleep(1000);
    }
  }
}
