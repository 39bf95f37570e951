import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { choosePlace, placesIn } from '../model/placement/choose-place.ts';
import { reasonNotToCreate } from '../model/placement/refusals.ts';
import type { Asking } from '../model/volume-type.ts';
import { volume, type Volume } from '../model/volume.ts';
import { fenced } from './fenced.ts';
import { clock, gatherRooms } from './move-facts.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, mustHaveEnded, recordOf, type Ticket } from './operations.ts';
import { holdOrigin } from './origins.ts';
import { refuseIfSnapshotCopied } from './copies.ts';
import { reasonsAgainstPlacing } from './placement.ts';
import { requireQuota } from './quotas.ts';
import { noColumns } from './rows.ts';
import { holdVolumeType } from './volume-types.ts';
import { volumeOrNull } from './volumes.ts';

export interface NewVolume extends Ticket {
  tenantId: string;
  sizeBytes: number;
  /** Null: `choosePlace` chooses one. */
  backEnd: string | null;
  /** Where to choose from; null or not given: all zones. */
  availabilityZone?: string | null | undefined;
  name?: string | null | undefined;
  description?: string | null | undefined;
  volumeType?: string | null | undefined;
  bootable?: boolean | undefined;
  snapshotId?: string | null | undefined;
  sourceVolumeId?: string | null | undefined;
  /** Who made it. */
  userId?: string | null | undefined;
  metadata?: Record<string, string> | undefined;
}

/**
 * Makes the volume's row, status `creating`, on the back end that was asked for if that may take it, or on one that is chosen; its bytes
 * are promised from now on. By the same owner again: the same row. Refused with `VolumeTypeNotFound`, `BackEndNotFound`,
 * `BackEndDisabled`, `BackEndDown`, `CapabilityMissing`, `InsufficientSpace`, `QuotaExceeded`, or `InvalidInput` for an id that another volume has;
 * of one that is made from another or from a snapshot also as `holdOrigin`.
 * `Fenced` when this owner's creation is over already.
 */
export function beginCreate(registry: Registry, wanted: NewVolume): Promise<Volume> {
  return registry.transaction(async (q) => {
    // Until the end, and before the statement that counts: the same bytes are not promised twice. In the order of names, as reports do.
    await q.rows(
      noColumns,
      'SELECT FROM back_ends WHERE $1::text IS NULL OR name = $1 ORDER BY name FOR NO KEY UPDATE',
      [wanted.backEnd],
    );
    const volumeType = await holdVolumeType(q, wanted.volumeType ?? null);
    const record = await recordOf(q, 'create', wanted);
    if (record) return alreadyBegun(q, wanted, record.outcome);
    const origin = await holdOrigin(q, wanted);
    const place = await placeFor(q, wanted, { volumeType, preferred: origin?.backEnd ?? null });
    if (await volumeOrNull(q, wanted.volumeId)) throw idTaken(wanted.volumeId);
    if ('reason' in place) throw new FerryError(place.reason.type, place.reason.message, place.reason.details);
    const { tenantId, sizeBytes } = wanted;
    await requireQuota(q, tenantId, {
      volumes: 1,
      bytes: sizeBytes,
      volumeBytes: sizeBytes,
      volumeType: volumeType?.name ?? null,
    });
    return insertVolume(q, { ...wanted, backEnd: place.backEnd });
  });
}

/**
 * Where the volume goes, or why it cannot go there, or anywhere: to the `preferred` back end, if it may and nobody has said anything else. The
 * back ends that it may go to are locked.
 */
async function placeFor(
  q: Queries,
  wanted: NewVolume,
  { volumeType, preferred }: { volumeType: Asking | null; preferred: string | null },
): Promise<{ backEnd: string } | { reason: Reason }> {
  const { backEnd, sizeBytes, volumeId, availabilityZone = null } = wanted;
  if (backEnd !== null) {
    const [reason] = await reasonsAgainstPlacing(q, {
      backEnd,
      what: `volume ${volumeId}`,
      neededBytes: sizeBytes,
      volumeType,
    });
    return reason ? { reason } : { backEnd };
  }
  const asked = { sizeBytes, volumeType, availabilityZone };
  const places = placesIn(await gatherRooms(q), await clock(q));
  const there = choosePlace(
    places.filter((place) => place.backEnd.name === preferred),
    asked,
  );
  const choice = there.place ? there : choosePlace(places, asked);
  return choice.place ? { backEnd: choice.place.backEnd.name } : { reason: reasonNotToCreate(choice, asked) };
}

export async function alreadyBegun(q: Queries, wanted: Ticket, outcome: string | null): Promise<Volume> {
  const found = outcome === null ? await volumeOrNull(q, wanted.volumeId) : null;
  if (!found) throw fenced(`The creation of volume ${wanted.volumeId}`);
  return found;
}

async function insertVolume(q: Queries, wanted: NewVolume & { backEnd: string }): Promise<Volume> {
  const [made] = await q.rows(
    volume,
    `WITH begun AS (INSERT INTO operations (owner, volume_id, operation, tenant_id) VALUES ($2, $1, 'create', $3))
     INSERT INTO volumes (
       id, operation, operation_owner, operation_since, previous_status, status, tenant_id, name, description, size_bytes, host,
       availability_zone, volume_type, bootable, snapshot_id, source_volume_id, metadata, user_id
     )
     SELECT $1, 'create', $2, now(), 'error', 'creating', $3, $4, $5, $6, b.name, b.availability_zone, $8, $9, $10, $11, $12, $13
     FROM back_ends b WHERE b.name = $7
     ON CONFLICT (id) DO NOTHING RETURNING *`,
    [
      wanted.volumeId,
      wanted.owner,
      wanted.tenantId,
      wanted.name ?? null,
      wanted.description ?? null,
      wanted.sizeBytes,
      wanted.backEnd,
      wanted.volumeType ?? null,
      wanted.bootable ?? false,
      wanted.snapshotId ?? null,
      wanted.sourceVolumeId ?? null,
      wanted.metadata ?? {},
      wanted.userId ?? null,
    ],
  );
  if (!made) throw idTaken(wanted.volumeId);
  return made;
}

/** The device is there, of that identity: the volume is `available`. */
export async function finishCreate(registry: Queries, done: Ticket & { identity?: string }): Promise<void> {
  await finishOperation(registry, 'create', done, { status: 'available', identity: done.identity });
}

/**
 * Takes the volume to delete it; with `cascade`, its snapshots as well: theirs are the ids that come with it. Repeats and refusals as any
 * operation.
 */
export function beginDelete(
  registry: Registry,
  ticket: Ticket & { force?: boolean | undefined; cascade?: boolean | undefined },
): Promise<Volume & { snapshotIds: string[] }> {
  return registry.transaction(async (q) => {
    const { cascade = false } = ticket;
    const deleting = await beginOperation(q, 'delete', { ...ticket, withSnapshots: cascade });
    if (!cascade) return { ...deleting, snapshotIds: [] };
    await refuseIfSnapshotCopied(q, ticket);
    const snapshots = await q.rows(
      z.object({ id: z.uuid() }),
      `UPDATE snapshots SET status = 'deleting', shown_status = NULL, updated_at = now() WHERE volume_id = $1 RETURNING id`,
      [ticket.volumeId],
    );
    return { ...deleting, snapshotIds: snapshots.map(({ id }) => id) };
  });
}

/**
 * The volume could not be deleted: `error_deleting`, or as it was if it was not touched. What of its snapshots was to go with it is
 * `error_deleting`: some may be gone. May be repeated.
 */
export function failDelete(
  registry: Registry,
  failed: Ticket & { reason: Reason; untouched?: boolean | undefined },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await failOperation(q, 'delete', failed, failed.untouched ? 'as before' : undefined))) return;
    await q.rows(
      noColumns,
      `UPDATE snapshots SET status = 'error_deleting', updated_at = now() WHERE volume_id = $1 AND status = 'deleting'`,
      [failed.volumeId],
    );
  });
}

/** The device could not be made: the volume stays, with status `error`, for its tenant to see and delete. */
export async function failCreate(registry: Queries, ticket: Ticket & { reason: Reason }): Promise<void> {
  await failOperation(registry, 'create', ticket);
}

/** The device is gone, or never was: the row goes as well. What migrations and operations did stays on record. */
export function finishDelete(registry: Queries, ticket: Ticket): Promise<void> {
  return removeVolume(registry, 'delete', ticket);
}

/** Ends an operation by removing the volume's row: with a `reason`, one that failed. */
export async function removeVolume(
  registry: Queries,
  operation: 'delete' | 'manage' | 'unmanage',
  ticket: Ticket,
  reason: Reason | null = null,
): Promise<void> {
  const outcome = reason === null ? 'success' : 'error';
  const removed = await registry.rows(
    z.object({ volumeId: z.string() }),
    // What was kept of it is of no use to anybody. Snapshots are there only if they went with it: else it had none.
    `WITH too AS (
       DELETE FROM snapshots s USING volumes v
       WHERE v.id = $1 AND v.operation = $3 AND v.operation_owner = $2 AND s.volume_id = v.id AND s.status = 'deleting'
     ), gone AS (DELETE FROM volumes WHERE id = $1 AND operation = $3 AND operation_owner = $2 RETURNING id),
     kept AS (
       UPDATE kept_sources k SET removing_at = coalesce(k.removing_at, now()) FROM gone WHERE k.volume_id = gone.id
     )
     UPDATE operations o SET outcome = $4, error = $5, finished_at = now()
     FROM gone WHERE o.owner = $2 AND o.volume_id = gone.id AND o.operation = $3 RETURNING o.volume_id`,
    [ticket.volumeId, ticket.owner, operation, outcome, reason],
  );
  if (removed.length === 0) await mustHaveEnded(registry, operation, ticket, outcome);
}

export function idTaken(volumeId: string): FerryError {
  return new FerryError('InvalidInput', `A volume of the id ${volumeId} exists already; choose another id.`, {
    volumeId,
  });
}
