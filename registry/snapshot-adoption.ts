import type { Reason } from '../model/errors.ts';
import { snapshotStatusOf } from '../model/snapshot.ts';
import type { Volume } from '../model/volume.ts';
import { refuseIfSnapshotCopied } from './copies.ts';
import type { Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { noColumns } from './rows.ts';
import {
  findSnapshot,
  insertSnapshot,
  setSnapshotStatus,
  snapshotStatusRefused,
  type ManagedSnapshot,
} from './snapshots.ts';

type SnapshotTicket = Ticket & { snapshotId: string };

/**
 * Takes the volume to make a device that is there already one of its snapshots, as large as it: `creating`. Repeats and refusals as any
 * operation, and `QuotaExceeded`.
 */
export function beginSnapshotManage(registry: Registry, wanted: ManagedSnapshot): Promise<Volume> {
  return registry.transaction(async (q) => {
    const volume = await beginOperation(q, 'manage-snapshot', wanted);
    await insertSnapshot(q, volume, wanted);
    return volume;
  });
}

/** The device is the snapshot's. May be repeated. */
export function finishSnapshotManage(registry: Registry, ticket: SnapshotTicket): Promise<void> {
  return registry.transaction(async (q) => {
    if (await finishOperation(q, 'manage-snapshot', ticket)) await setSnapshotStatus(q, ticket, 'available');
  });
}

/** The device is as it was, and nobody's: there is no snapshot. May be repeated. */
export function failSnapshotManage(registry: Registry, failed: SnapshotTicket & { reason: Reason }): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await failOperation(q, 'manage-snapshot', failed))) return;
    await q.rows(noColumns, `DELETE FROM snapshots WHERE id = $1 AND status = 'creating'`, [failed.snapshotId]);
  });
}

/**
 * Takes the volume to forget one of its snapshots: it is `deleting`. Refused as any operation, and with `SnapshotNotFound`, `VolumeBusy` while a
 * volume is made from it, `VolumeStatusRefused` unless it is `available`.
 */
export function beginSnapshotUnmanage(registry: Registry, ticket: SnapshotTicket): Promise<Volume> {
  return registry.transaction(async (q) => {
    const volume = await beginOperation(q, 'unmanage-snapshot', ticket);
    const found = await findSnapshot(q, ticket.snapshotId);
    if (found.status === 'deleting' && found.shownStatus === 'unmanaging') return volume;
    const status = snapshotStatusOf(found);
    if (status !== 'available' || found.volumeId !== volume.id)
      throw snapshotStatusRefused(found.id, status, 'to be unmanaged');
    await refuseIfSnapshotCopied(q, { snapshotId: found.id });
    await q.rows(
      noColumns,
      `UPDATE snapshots SET status = 'deleting', shown_status = 'unmanaging', updated_at = now() WHERE id = $1`,
      [found.id],
    );
    return volume;
  });
}

/** The device is nobody's any more: there is no snapshot. May be repeated. */
export function finishSnapshotUnmanage(registry: Registry, ticket: SnapshotTicket): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await finishOperation(q, 'unmanage-snapshot', ticket))) return;
    await q.rows(noColumns, 'DELETE FROM snapshots WHERE id = $1 AND volume_id = $2', [
      ticket.snapshotId,
      ticket.volumeId,
    ]);
  });
}

/** It may be the snapshot's still, or nobody's: `error`, to be deleted. May be repeated. */
export function failSnapshotUnmanage(registry: Registry, failed: SnapshotTicket & { reason: Reason }): Promise<void> {
  return registry.transaction(async (q) => {
    if (await failOperation(q, 'unmanage-snapshot', failed)) await setSnapshotStatus(q, failed, 'error');
  });
}
