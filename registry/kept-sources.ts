import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { keptSource, type KeptDevice, type KeptSource } from '../model/kept-source.ts';
import { deviceName, nameIdOf } from '../model/names.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** An undo that goes back to it holds a kept source: it is not removed meanwhile. Of `k`. */
const heldByUndo = `EXISTS (SELECT FROM migrations u WHERE u.undoes = k.migration_id AND u.outcome IS NULL)`;

/** The kept sources of one volume, of some, or all; those that are being removed among them. The first to go first. */
export function listKeptSources(
  registry: Queries,
  filter: { volumeId?: string | undefined; volumeIds?: readonly string[] | undefined } = {},
): Promise<KeptSource[]> {
  return registry.rows(
    keptSource,
    `SELECT * FROM kept_sources WHERE ($1::uuid IS NULL OR volume_id = $1) AND ($2::uuid[] IS NULL OR volume_id = ANY ($2))
     ORDER BY kept_until, migration_id`,
    [filter.volumeId ?? null, filter.volumeIds ?? null],
  );
}

/** What its removal needs to know of a kept source. */
export function keptDevice({ migrationId, volumeId, backEnd, nameId, identity }: KeptSource): KeptDevice {
  return { migrationId, volumeId, backEnd, deviceName: deviceName({ id: volumeId, nameId }), identity };
}

/** How many sources each back end keeps, and how large they are; those without any are left out. */
export async function countKeptSources(registry: Queries): Promise<Map<string, { sources: number; bytes: number }>> {
  const rows = await registry.rows(
    z.object({ backEnd: z.string(), sources: z.number(), bytes: z.number() }),
    'SELECT back_end, count(*)::int AS sources, sum(size_bytes)::bigint AS bytes FROM kept_sources GROUP BY back_end',
  );
  return new Map(rows.map(({ backEnd, sources, bytes }) => [backEnd, { sources, bytes }]));
}

/** Whether the registry keeps this device, and nobody may delete it: asked before a device is deleted. */
export async function isKeptSource(registry: Queries, backEnd: string, name: string): Promise<boolean> {
  const nameId = nameIdOf(name);
  if (nameId === null) return false;
  const [answer] = await registry.rows(
    z.object({ kept: z.boolean() }),
    `SELECT EXISTS (SELECT FROM kept_sources WHERE back_end = $1 AND coalesce(name_id, volume_id) = $2 AND removing_at IS NULL) AS kept`,
    [backEnd, nameId],
  );
  return answer?.kept === true;
}

/**
 * How a kept source stands. `kept`: its time is not over, for so long. `held`: it is, but an undo is on its way back to it. `removing`: it
 * may be deleted, for good. `gone`: there is none of that migration.
 */
export type KeptState =
  | { state: 'kept'; secondsLeft: number; keptUntil: string }
  | { state: 'held' }
  | { state: 'removing' }
  | { state: 'gone' };

const standing = keptSource.extend({ held: z.boolean(), secondsLeft: z.number() });

/** Takes a kept source for removal when its time is over and no undo holds it: from then on no undo can. May be repeated. */
export function takeDueKeptSource(registry: Registry, migrationId: string): Promise<KeptState> {
  return registry.transaction(async (q) => {
    // In a statement of its own: what follows sees every undo that was claimed before the lock was got.
    await q.rows(noColumns, 'SELECT FROM kept_sources WHERE migration_id = $1 FOR NO KEY UPDATE', [migrationId]);
    const [found] = await q.rows(
      standing,
      `SELECT k.*, ${heldByUndo} AS held, ceil(extract(epoch FROM k.kept_until - now()))::int AS seconds_left
       FROM kept_sources k WHERE k.migration_id = $1`,
      [migrationId],
    );
    if (!found) return { state: 'gone' };
    if (found.removingAt) return { state: 'removing' };
    if (found.secondsLeft > 0)
      return { state: 'kept', secondsLeft: found.secondsLeft, keptUntil: found.keptUntil.toISOString() };
    if (found.held) return { state: 'held' };
    await q.rows(noColumns, 'UPDATE kept_sources SET removing_at = now() WHERE migration_id = $1', [migrationId]);
    return { state: 'removing' };
  });
}

/** Its device is gone: so is the row. Only of one that was taken for removal. May be repeated. */
export async function forgetKeptSource(registry: Queries, migrationId: string): Promise<void> {
  await registry.rows(noColumns, 'DELETE FROM kept_sources WHERE migration_id = $1 AND removing_at IS NOT NULL', [
    migrationId,
  ]);
}

/**
 * Takes all kept sources of a volume for removal, before their time. `SourceNotKept` when it has none; `VolumeMigrating` when an undo is on
 * its way back to one. May be repeated while they are being removed.
 */
export function discardKeptSources(registry: Registry, volumeId: string): Promise<KeptSource[]> {
  return registry.transaction(async (q) => {
    await q.rows(noColumns, 'SELECT FROM kept_sources WHERE volume_id = $1 ORDER BY migration_id FOR NO KEY UPDATE', [
      volumeId,
    ]);
    const [held] = await q.rows(
      z.object({ migrationId: z.uuid() }),
      `SELECT migration_id FROM kept_sources k WHERE volume_id = $1 AND ${heldByUndo}`,
      [volumeId],
    );
    if (held)
      throw new FerryError(
        'VolumeMigrating',
        `Volume ${volumeId} is on its way back to its kept source. Wait for it to end, or cancel it: ferry migration cancel ${volumeId}`,
        { volumeId },
      );
    const taken = await q.rows(
      keptSource,
      'UPDATE kept_sources SET removing_at = coalesce(removing_at, now()) WHERE volume_id = $1 RETURNING *',
      [volumeId],
    );
    if (taken.length > 0) return taken;
    throw new FerryError('SourceNotKept', `No source of volume ${volumeId} is kept.`, { volumeId });
  });
}
