import { FerryError, type Reason } from '../model/errors.ts';
import { volume, type Volume } from '../model/volume.ts';
import { findBackEnd } from './back-ends.ts';
import { alreadyBegun, idTaken, removeVolume } from './creation.ts';
import type { Queries, Registry } from './open-registry.ts';
import { finishOperation, forgottenAmong, recordOf, type Ticket } from './operations.ts';
import { requireQuota } from './quotas.ts';
import { holdVolumeType } from './volume-types.ts';
import { volumeOrNull } from './volumes.ts';

export interface AdoptedVolume extends Ticket {
  tenantId: string;
  sizeBytes: number;
  backEnd: string;
  name?: string | null | undefined;
  description?: string | null | undefined;
  bootable?: boolean | undefined;
  /** The id that its device is named after, when that is not its own. */
  nameId?: string | null | undefined;
  volumeType?: string | null | undefined;
  metadata?: Record<string, string> | undefined;
  readOnly?: boolean | null | undefined;
  /** It counts, but is not refused: the tenant had it before. */
  beyondQuota?: boolean | undefined;
  /** Who takes it over. */
  userId?: string | null | undefined;
}

/**
 * Makes the row of a volume whose device is there already: status `creating`, no bytes promised. By the same owner again: the same
 * row. Refused with `BackEndNotFound`, `VolumeTypeNotFound`, `QuotaExceeded`, or `InvalidInput` for an id that another volume has, or
 * one had before.
 */
export function beginManage(registry: Registry, adopted: AdoptedVolume): Promise<Volume> {
  return registry.transaction(async (q) => {
    await findBackEnd(q, adopted.backEnd);
    const volumeType = (await holdVolumeType(q, adopted.volumeType ?? null))?.name ?? null;
    const record = await recordOf(q, 'manage', adopted);
    if (record) return alreadyBegun(q, adopted, record.outcome);
    if (await volumeOrNull(q, adopted.volumeId)) throw idTaken(adopted.volumeId);
    await refuseIfForgotten(q, adopted.volumeId);
    const { tenantId, sizeBytes } = adopted;
    if (!adopted.beyondQuota)
      await requireQuota(q, tenantId, { volumes: 1, bytes: sizeBytes, volumeBytes: sizeBytes, volumeType });
    const [made] = await q.rows(
      volume,
      `WITH begun AS (INSERT INTO operations (owner, volume_id, operation, tenant_id) VALUES ($2, $1, 'manage', $3))
       INSERT INTO volumes (
         id, operation, operation_owner, operation_since, previous_status, status, tenant_id, name, description, size_bytes, host,
         availability_zone, bootable, user_id, name_id, volume_type, metadata, read_only
       )
       SELECT $1, 'manage', $2, now(), 'error', 'creating', $3, $4, $5, $6, b.name, b.availability_zone, $8, $9, $10, $11, $12, $13
       FROM back_ends b WHERE b.name = $7
       ON CONFLICT (id) DO NOTHING RETURNING *`,
      [
        adopted.volumeId,
        adopted.owner,
        adopted.tenantId,
        adopted.name ?? null,
        adopted.description ?? null,
        adopted.sizeBytes,
        adopted.backEnd,
        adopted.bootable ?? false,
        adopted.userId ?? null,
        adopted.nameId ?? null,
        volumeType,
        adopted.metadata ?? {},
        adopted.readOnly ?? null,
      ],
    );
    if (!made) throw idTaken(adopted.volumeId);
    return made;
  });
}

/**
 * An id that was a volume's is never another's: devices, steps that come late and audit records would be taken for those of the one that was.
 */
async function refuseIfForgotten(q: Queries, volumeId: string): Promise<void> {
  if ((await forgottenAmong(q, [volumeId])).size === 0) return;
  throw new FerryError(
    'InvalidInput',
    `Volume ${volumeId} was Ferry's before and was forgotten or deleted: its id is not used again. Under a new one: ferry manage`,
    { volumeId },
  );
}

/** The device is the volume's: `available`. May be repeated. */
export async function finishManage(registry: Queries, done: Ticket & { identity?: string }): Promise<void> {
  await finishOperation(registry, 'manage', done, { status: 'available', identity: done.identity });
}

/** The device is as it was, and nobody's: there is no volume. May be repeated. */
export function failManage(registry: Queries, failed: Ticket & { reason: Reason }): Promise<void> {
  return removeVolume(registry, 'manage', failed, failed.reason);
}

/** The device is nobody's any more: there is no volume. May be repeated. */
export function finishUnmanage(registry: Queries, ticket: Ticket): Promise<void> {
  return removeVolume(registry, 'unmanage', ticket);
}
