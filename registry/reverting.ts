import { FerryError, type Reason } from '../model/errors.ts';
import type { Origin } from '../model/origin.ts';
import { sizeWords } from '../model/sizes.ts';
import { snapshotStatusOf } from '../model/snapshot.ts';
import type { Volume } from '../model/volume.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { findOrigin } from './origins.ts';
import { noColumns } from './rows.ts';
import { findSnapshot, listSnapshots } from './snapshots.ts';

/**
 * Takes the volume to put the bytes of its last snapshot back into it: status `reverting`, the snapshot `restoring`. By the same owner again: the
 * same. Refused as any operation, and with `SnapshotNotFound`, `InvalidInput` for one that is not the last, `SizeMismatch` when the volume
 * has been extended since, `VolumeStatusRefused` when the snapshot is not whole.
 */
export function beginRevert(
  registry: Registry,
  ticket: Ticket & { snapshotId: string },
): Promise<{ volume: Volume; origin: Origin }> {
  return registry.transaction(async (q) => {
    const volume = await beginOperation(q, 'revert', { ...ticket, withSnapshots: true });
    const snapshot = await findSnapshot(q, ticket.snapshotId);
    const refused = (type: Reason['type'], why: string) =>
      new FerryError(type, `Volume ${volume.id} does not go back to snapshot ${snapshot.id}: ${why}.`, {
        volumeId: volume.id,
        snapshotId: snapshot.id,
      });
    const [last] = await listSnapshots(q, { volumeId: volume.id });
    if (last?.id !== snapshot.id) throw refused('InvalidInput', `its last snapshot is ${last?.id ?? 'none'}`);
    if (snapshot.sizeBytes !== volume.sizeBytes)
      throw refused(
        'SizeMismatch',
        `it has ${sizeWords(volume.sizeBytes)}, the snapshot ${sizeWords(snapshot.sizeBytes)}`,
      );
    const status = snapshotStatusOf(snapshot);
    // `restoring`: an earlier attempt has failed.
    if (snapshot.status !== 'available' || (status !== 'available' && status !== 'restoring'))
      throw refused('VolumeStatusRefused', `the snapshot is ${status}`);
    await q.rows(
      noColumns,
      `UPDATE snapshots SET shown_status = CASE WHEN id = $2 THEN 'restoring' END, updated_at = now()
       WHERE volume_id = $1 AND (id = $2 OR shown_status = 'restoring')`,
      [volume.id, snapshot.id],
    );
    return { volume, origin: await findOrigin(q, volume.id) };
  });
}

/** The volume is what the snapshot is. May be repeated. */
export function finishRevert(registry: Registry, ticket: Ticket): Promise<void> {
  return registry.transaction(async (q) => {
    if (await finishOperation(q, 'revert', ticket, { status: 'available' })) await showAsIs(q, ticket.volumeId);
  });
}

/**
 * It did not come to its end: the volume is in `error`, and the snapshot stays `restoring`, as the volume has no other whole copy; or, if
 * the device was not touched, both are as before. May be repeated.
 */
export function failRevert(
  registry: Registry,
  failed: Ticket & { reason: Reason; untouched?: boolean | undefined },
): Promise<void> {
  return registry.transaction(async (q) => {
    const ended = await failOperation(q, 'revert', failed, failed.untouched ? 'as before' : undefined);
    if (ended && failed.untouched) await showAsIs(q, failed.volumeId);
  });
}

async function showAsIs(q: Queries, volumeId: string): Promise<void> {
  await q.rows(
    noColumns,
    `UPDATE snapshots SET shown_status = NULL, updated_at = now() WHERE volume_id = $1 AND shown_status = 'restoring'`,
    [volumeId],
  );
}
