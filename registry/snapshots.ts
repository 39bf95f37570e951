import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { snapshot, type Snapshot } from '../model/snapshot.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { noColumns } from './rows.ts';
import type { Visibility } from './volumes.ts';

/** The snapshots that fit, newest first. */
export function listSnapshots(
  registry: Queries,
  filter: Visibility & { volumeId?: string | undefined } = {},
): Promise<Snapshot[]> {
  return registry.rows(
    snapshot,
    `SELECT * FROM snapshots WHERE ($1::uuid IS NULL OR volume_id = $1) AND ($2::text IS NULL OR tenant_id = $2)
     ORDER BY created_at DESC, id`,
    [filter.volumeId ?? null, filter.tenantId ?? null],
  );
}

/** The snapshot. `SnapshotNotFound` if there is none, or it is not the tenant's. */
export async function findSnapshot(registry: Queries, id: string, visible: Visibility = {}): Promise<Snapshot> {
  const valid = z.uuid().safeParse(id);
  const [found] = valid.success
    ? await registry.rows(snapshot, 'SELECT * FROM snapshots WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)', [
        valid.data,
        visible.tenantId ?? null,
      ])
    : [];
  if (!found) throw snapshotNotFound(id);
  return found;
}

export interface NewSnapshot extends Ticket {
  snapshotId: string;
  name?: string | null | undefined;
  description?: string | null | undefined;
  /** Of a volume in use as well: what the guest has not flushed is not in it. */
  force?: boolean | undefined;
}

/** Takes the volume for a snapshot: status `snapshotting`, the snapshot `creating`. Repeats and refusals as any operation. */
export function beginSnapshot(registry: Registry, wanted: NewSnapshot): Promise<Snapshot> {
  return registry.transaction(async (q) => {
    await beginOperation(q, 'snapshot', wanted);
    await q.rows(
      noColumns,
      `INSERT INTO snapshots (id, volume_id, tenant_id, name, description, size_bytes, status)
       SELECT $1, v.id, v.tenant_id, $3, $4, v.size_bytes, 'creating' FROM volumes v WHERE v.id = $2
       ON CONFLICT (id) DO NOTHING`,
      [wanted.snapshotId, wanted.volumeId, wanted.name ?? null, wanted.description ?? null],
    );
    return findSnapshot(q, wanted.snapshotId);
  });
}

/** The snapshot is made. May be repeated. */
export function finishSnapshot(registry: Registry, ticket: Ticket & { snapshotId: string }): Promise<void> {
  return registry.transaction(async (q) => {
    if (await finishOperation(q, 'snapshot', ticket)) await setStatus(q, ticket, 'available');
  });
}

/** The snapshot could not be made: it stays, with status `error`, to be deleted. May be repeated. */
export function failSnapshot(
  registry: Registry,
  failed: Ticket & { snapshotId: string; reason: Reason },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (await failOperation(q, 'snapshot', failed)) await setStatus(q, failed, 'error');
  });
}

/** Takes the volume to delete one of its snapshots. Refused as any operation, and with `SnapshotNotFound`. */
export function beginSnapshotDelete(registry: Registry, ticket: Ticket & { snapshotId: string }): Promise<Snapshot> {
  return registry.transaction(async (q) => {
    await beginOperation(q, 'delete-snapshot', ticket);
    const deleting = await setStatus(q, ticket, 'deleting');
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
    if (await failOperation(q, 'delete-snapshot', failed)) await setStatus(q, failed, 'error_deleting');
  });
}

async function setStatus(
  q: Queries,
  of: { snapshotId: string; volumeId: string },
  status: Snapshot['status'],
): Promise<Snapshot | null> {
  const [changed] = await q.rows(
    snapshot,
    'UPDATE snapshots SET status = $3 WHERE id = $1 AND volume_id = $2 RETURNING *',
    [of.snapshotId, of.volumeId, status],
  );
  return changed ?? null;
}

function snapshotNotFound(id: string): FerryError {
  return new FerryError('SnapshotNotFound', `Snapshot ${id} could not be found.`, { snapshotId: id });
}
