import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { snapshot, type ShownSnapshotStatus, type Snapshot } from '../model/snapshot.ts';
import type { Volume } from '../model/volume.ts';
import type { Queries, Registry } from './open-registry.ts';
import { refuseIfSnapshotCopied } from './copies.ts';
import { Conditions, pageStatement, plainKey, textKey, type Page, type SortKeys } from './pages.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { requireQuota } from './quotas.ts';
import { noColumns } from './rows.ts';
import type { Visibility } from './volumes.ts';

/** By what snapshots may be ordered. */
const snapshotSortKeys = {
  id: plainKey('id'),
  name: textKey('name'),
  description: textKey('description'),
  status: (row: string) => `coalesce(${row}.shown_status, ${row}.status) COLLATE "C"`,
  size: plainKey('size_bytes'),
  volumeId: plainKey('volume_id'),
  tenantId: textKey('tenant_id'),
  userId: textKey('user_id'),
  createdAt: plainKey('created_at'),
  updatedAt: (row: string) => `coalesce(${row}.updated_at, '-infinity')`,
} satisfies SortKeys<string>;
export type SnapshotSortKey = keyof typeof snapshotSortKeys;

export interface SnapshotFilter extends Visibility {
  volumeId?: string | undefined;
  name?: string | undefined;
  /** As people are told it. */
  status?: string | undefined;
  /** All of these, and maybe more. */
  metadata?: Record<string, string> | undefined;
  /** Of their volumes. */
  availabilityZone?: string | undefined;
}

/** The snapshots that fit, the newest first unless sorted otherwise. `SnapshotNotFound` when the last page's row is not there. */
export async function listSnapshots(
  registry: Queries,
  filter: SnapshotFilter & Page<SnapshotSortKey> = {},
): Promise<Snapshot[]> {
  if (filter.after !== undefined) await findSnapshot(registry, filter.after, { tenantId: filter.tenantId });
  const conditions = conditionsOf(filter);
  const statement = pageStatement('snapshots', conditions, snapshotSortKeys, filter);
  return registry.rows(snapshot, statement, conditions.values);
}

/** How many snapshots fit. */
export async function countSnapshots(registry: Queries, filter: SnapshotFilter = {}): Promise<number> {
  const conditions = conditionsOf(filter);
  const [counted] = await registry.rows(
    z.object({ count: z.number() }),
    `SELECT count(*) FROM snapshots l WHERE ${conditions.text}`,
    conditions.values,
  );
  return counted!.count;
}

function conditionsOf(filter: SnapshotFilter): Conditions {
  return new Conditions()
    .add(filter.tenantId, (p) => `l.tenant_id = ${p}`)
    .add(filter.volumeId, (p) => `l.volume_id = ${p}::uuid`)
    .add(filter.name, (p) => `l.name = ${p}`)
    .add(filter.status, (p) => `coalesce(l.shown_status, l.status) = ${p}`)
    .add(filter.metadata, (p) => `l.metadata @> ${p}::jsonb`)
    .add(
      filter.availabilityZone,
      (p) => `EXISTS (SELECT FROM volumes v WHERE v.id = l.volume_id AND v.availability_zone = ${p})`,
    );
}

/** The snapshot. `SnapshotNotFound` if there is none, or it is not the tenant's. */
export async function findSnapshot(registry: Queries, id: string, visible: Visibility = {}): Promise<Snapshot> {
  const found = await snapshotOrNull(registry, id, visible);
  if (!found) throw snapshotNotFound(id);
  return found;
}

export async function snapshotOrNull(
  registry: Queries,
  id: string,
  visible: Visibility = {},
): Promise<Snapshot | null> {
  const valid = z.uuid().safeParse(id);
  if (!valid.success) return null;
  const [found] = await registry.rows(
    snapshot,
    'SELECT * FROM snapshots WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)',
    [valid.data, visible.tenantId ?? null],
  );
  return found ?? null;
}

export interface NewSnapshot extends Ticket {
  snapshotId: string;
  name?: string | null | undefined;
  description?: string | null | undefined;
  /** Of a volume in use as well: what the guest has not flushed is not in it. */
  force?: boolean | undefined;
  metadata?: Record<string, string> | undefined;
  /** Who makes it. */
  userId?: string | null | undefined;
}

/** One whose device is there already. */
export type ManagedSnapshot = Omit<NewSnapshot, 'force'> & {
  /** It counts, but is not refused: the tenant had it before. */
  beyondQuota?: boolean | undefined;
};

/** How many snapshots a volume has, and of how many bytes. */
export async function snapshotsOf(q: Queries, volumeId: string): Promise<{ snapshots: number; bytes: number }> {
  const [counted] = await q.rows(
    z.object({ snapshots: z.number(), bytes: z.number() }),
    'SELECT count(*) AS snapshots, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM snapshots WHERE volume_id = $1',
    [volumeId],
  );
  return counted!;
}

/** Takes the volume for a snapshot: status `snapshotting`, the snapshot `creating`. Repeats and refusals as any operation, and `QuotaExceeded`. */
export function beginSnapshot(registry: Registry, wanted: NewSnapshot): Promise<Snapshot> {
  return registry.transaction(async (q) => {
    const volume = await beginOperation(q, 'snapshot', wanted);
    return insertSnapshot(q, volume, wanted);
  });
}

/** The snapshot's row, `creating`; what is there already stays. `QuotaExceeded`. */
export async function insertSnapshot(q: Queries, volume: Volume, wanted: ManagedSnapshot): Promise<Snapshot> {
  const { tenantId, sizeBytes, volumeType } = volume;
  const begun = await snapshotOrNull(q, wanted.snapshotId);
  if (begun) return begun;
  if (!wanted.beyondQuota) await requireQuota(q, tenantId, { snapshots: 1, bytes: sizeBytes, volumeType });
  await q.rows(
    noColumns,
    `INSERT INTO snapshots (id, volume_id, tenant_id, name, description, size_bytes, status, metadata, user_id)
     SELECT $1, v.id, v.tenant_id, $3, $4, v.size_bytes, 'creating', $5, $6 FROM volumes v WHERE v.id = $2
     ON CONFLICT (id) DO NOTHING`,
    [
      wanted.snapshotId,
      wanted.volumeId,
      wanted.name ?? null,
      wanted.description ?? null,
      wanted.metadata ?? {},
      wanted.userId ?? null,
    ],
  );
  return findSnapshot(q, wanted.snapshotId);
}

/** The snapshot is made. May be repeated. */
export function finishSnapshot(registry: Registry, ticket: Ticket & { snapshotId: string }): Promise<void> {
  return registry.transaction(async (q) => {
    if (await finishOperation(q, 'snapshot', ticket)) await setSnapshotStatus(q, ticket, 'available');
  });
}

/** The snapshot could not be made: it stays, with status `error`, to be deleted. May be repeated. */
export function failSnapshot(
  registry: Registry,
  failed: Ticket & { snapshotId: string; reason: Reason },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (await failOperation(q, 'snapshot', failed)) await setSnapshotStatus(q, failed, 'error');
  });
}

/** From which statuses a snapshot is deleted without `force`, as people are told them. Nothing is under way on it, whatever is shown. */
const deletableSnapshots: readonly ShownSnapshotStatus[] = ['available', 'error', 'error_deleting'];

/**
 * Takes the volume to delete one of its snapshots. Refused as any operation, and with `SnapshotNotFound`, or `VolumeStatusRefused` for one
 * that shows another status, unless `force`d.
 */
export function beginSnapshotDelete(
  registry: Registry,
  ticket: Ticket & { snapshotId: string; force?: boolean | undefined },
): Promise<Snapshot> {
  return registry.transaction(async (q) => {
    await beginOperation(q, 'delete-snapshot', { ...ticket, force: false });
    const found = await findSnapshot(q, ticket.snapshotId);
    const shown = found.shownStatus;
    if (!ticket.force && shown !== null && !deletableSnapshots.includes(shown))
      throw snapshotStatusRefused(found.id, shown, 'to be deleted', deletableSnapshots);
    await refuseIfSnapshotCopied(q, { snapshotId: found.id });
    const deleting = await setSnapshotStatus(q, ticket, 'deleting');
    if (!deleting) throw snapshotNotFound(ticket.snapshotId);
    return deleting;
  });
}

/** The snapshot is gone. May be repeated. */
export function finishSnapshotDelete(registry: Registry, ticket: Ticket & { snapshotId: string }): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await finishOperation(q, 'delete-snapshot', ticket))) return;
    await q.rows(noColumns, 'DELETE FROM snapshots WHERE id = $1 AND volume_id = $2', [
      ticket.snapshotId,
      ticket.volumeId,
    ]);
  });
}

/** The snapshot could not be deleted: status `error_deleting`. May be repeated. */
export function failSnapshotDelete(
  registry: Registry,
  failed: Ticket & { snapshotId: string; reason: Reason },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (await failOperation(q, 'delete-snapshot', failed)) await setSnapshotStatus(q, failed, 'error_deleting');
  });
}

/** The error of what needs the snapshot in another status. `purpose`: e.g. "to be deleted". */
export function snapshotStatusRefused(
  snapshotId: string,
  status: ShownSnapshotStatus,
  purpose: string,
  allowed: readonly ShownSnapshotStatus[] = ['available'],
): FerryError {
  return new FerryError(
    'VolumeStatusRefused',
    `Snapshot ${snapshotId} has status ${status}; ${purpose} it must be ${allowed.join(' or ')}.`,
    { snapshotId, status },
  );
}

/** Sets what the snapshot is, and what it was shown as is over; null: the volume has none of that id. */
export async function setSnapshotStatus(
  q: Queries,
  of: { snapshotId: string; volumeId: string },
  status: Snapshot['status'],
): Promise<Snapshot | null> {
  const [changed] = await q.rows(
    snapshot,
    `UPDATE snapshots SET status = $3, shown_status = NULL, progress = NULL, updated_at = now()
     WHERE id = $1 AND volume_id = $2 RETURNING *`,
    [of.snapshotId, of.volumeId, status],
  );
  return changed ?? null;
}

export function snapshotNotFound(id: string): FerryError {
  return new FerryError('SnapshotNotFound', `Snapshot ${id} could not be found.`, { snapshotId: id });
}
