import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeTransfer, type VolumeTransfer } from '../model/transfer.ts';
import { statusOf, volume, type Volume } from '../model/volume.ts';
import { listAttachments } from './attachments.ts';
import type { Queries, Registry } from './open-registry.ts';
import { requireQuota } from './quotas.ts';
import { lockFree } from './reservations.ts';
import { noColumns } from './rows.ts';
import { snapshotsOf } from './snapshots.ts';
import { mustSeeType } from './volume-type-access.ts';
import type { Visibility } from './volumes.ts';

/** Transfers that the caller may see, the newest first: of the volumes that are still its own. */
export function listTransfers(registry: Queries, visible: Visibility = {}): Promise<VolumeTransfer[]> {
  return registry.rows(
    volumeTransfer,
    'SELECT * FROM volume_transfers WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY created_at DESC, id DESC',
    [visible.tenantId ?? null],
  );
}

/** `TransferNotFound` if there is none, or its volume is another tenant's. */
export async function findTransfer(registry: Queries, id: string, visible: Visibility = {}): Promise<VolumeTransfer> {
  const valid = z.uuid().safeParse(id);
  const [found] = valid.success
    ? await registry.rows(
        volumeTransfer,
        'SELECT * FROM volume_transfers WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)',
        [valid.data, visible.tenantId ?? null],
      )
    : [];
  if (!found) throw notFound(id);
  return found;
}

export interface NewTransfer extends Visibility {
  id: string;
  volumeId: string;
  name: string | null;
  /** Its snapshots stay with the tenant that gives the volume away. */
  noSnapshots: boolean;
  /** Of the key, which is not kept itself. */
  keySalt: string;
  keyHash: string;
}

/**
 * Offers an available volume to whoever knows the key: until it is taken or the offer is withdrawn it has status `awaiting-transfer`, and
 * nothing else may begin. Refused while it is held (`VolumeMigrating`, `VolumeBusy`), and from other statuses or while it has attachments
 * (`VolumeStatusRefused`).
 */
export function createTransfer(registry: Registry, wanted: NewTransfer): Promise<VolumeTransfer> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'transfer', wanted);
    if (statusOf(found) !== 'available' || (await listAttachments(q, { volumeId: found.id })).length > 0)
      throw new FerryError(
        'VolumeStatusRefused',
        `Volume ${found.id} has status ${statusOf(found)}; to be given away it must be available and not attached.`,
        { volumeId: found.id, operation: 'transfer', status: statusOf(found) },
      );
    // One that is left from before the volume's status was set by hand.
    await q.rows(noColumns, 'DELETE FROM volume_transfers WHERE volume_id = $1', [found.id]);
    await setStatus(q, found.id, 'awaiting-transfer');
    const [made] = await q.rows(
      volumeTransfer,
      `INSERT INTO volume_transfers (id, volume_id, tenant_id, name, no_snapshots, key_salt, key_hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *`,
      [wanted.id, found.id, found.tenantId, wanted.name, wanted.noSnapshots, wanted.keySalt, wanted.keyHash],
    );
    return made!;
  });
}

/** Withdraws an offer: the volume is available again. `TransferNotFound`. */
export function deleteTransfer(registry: Registry, id: string, visible: Visibility = {}): Promise<void> {
  return registry.transaction(async (q) => {
    const { volumeId } = await findTransfer(q, id, visible);
    const found = await lockFree(q, 'transfer', { volumeId });
    // Another may have taken it, or withdrawn it, before the lock was got.
    const gone = await q.rows(noColumns, 'DELETE FROM volume_transfers WHERE id = $1 RETURNING id', [id]);
    if (gone.length === 0) throw notFound(id);
    if (found.status === 'awaiting-transfer') await setStatus(q, volumeId, 'available');
  });
}

export interface Acceptance {
  id: string;
  /** Who takes it, whoever gives it. */
  tenantId: string;
  userId: string | null;
  /** Whether the key that was given is the one with this salt and hash. */
  opens: (key: { salt: string; hash: string }) => boolean;
}

/**
 * The volume is the taker's from now on, with its snapshots unless they stay; nothing of its device changes. `TransferNotFound`;
 * `WrongTransferKey`; `QuotaExceeded` when the taker may not have so much; `VolumeTypeNotFound` when it may not have volumes of that type;
 * `VolumeStatusRefused` when the volume does not wait any more. Refused, the offer stands.
 */
export function acceptTransfer(registry: Registry, by: Acceptance): Promise<VolumeTransfer> {
  return registry.transaction(async (q) => {
    const { volumeId } = await findTransfer(q, by.id);
    const found = await lockFree(q, 'transfer', { volumeId });
    const transfer = await findTransfer(q, by.id);
    if (!by.opens({ salt: transfer.keySalt, hash: transfer.keyHash }))
      throw new FerryError('WrongTransferKey', `Attempt to transfer ${by.id} with invalid auth key.`, {
        transferId: by.id,
      });
    if (statusOf(found) !== 'awaiting-transfer')
      throw new FerryError(
        'VolumeStatusRefused',
        `Volume ${volumeId} has status ${statusOf(found)}; it is not given away any more.`,
        { volumeId, operation: 'transfer', status: statusOf(found) },
      );
    if (found.volumeType !== null) await mustSeeType(q, found.volumeType, { tenantId: by.tenantId });
    await hand(q, found, transfer, by);
    await q.rows(noColumns, 'DELETE FROM volume_transfers WHERE id = $1', [by.id]);
    return transfer;
  });
}

async function hand(q: Queries, found: Volume, transfer: VolumeTransfer, to: Acceptance): Promise<void> {
  const { snapshots, bytes } = transfer.noSnapshots ? { snapshots: 0, bytes: 0 } : await snapshotsOf(q, found.id);
  if (to.tenantId !== found.tenantId)
    await requireQuota(q, to.tenantId, {
      volumes: 1,
      snapshots,
      bytes: found.sizeBytes + bytes,
      volumeBytes: found.sizeBytes,
      volumeType: found.volumeType,
    });
  await q.rows(
    volume,
    `UPDATE volumes SET tenant_id = $2, user_id = $3, status = 'available', updated_at = now() WHERE id = $1 RETURNING *`,
    [found.id, to.tenantId, to.userId],
  );
  if (!transfer.noSnapshots)
    await q.rows(
      noColumns,
      'UPDATE snapshots SET tenant_id = $2, user_id = $3, updated_at = now() WHERE volume_id = $1',
      [found.id, to.tenantId, to.userId],
    );
  await q.rows(
    noColumns,
    `INSERT INTO operations (owner, volume_id, operation, tenant_id, finished_at, outcome)
     VALUES ($1, $2, 'transfer', $3, now(), 'success')`,
    [`transfer/${transfer.id}`, found.id, to.tenantId],
  );
}

async function setStatus(q: Queries, volumeId: string, status: 'available' | 'awaiting-transfer'): Promise<void> {
  await q.rows(noColumns, 'UPDATE volumes SET status = $2, updated_at = now() WHERE id = $1', [volumeId, status]);
}

function notFound(id: string): FerryError {
  return new FerryError('TransferNotFound', `Transfer ${id} could not be found.`, { transferId: id });
}
