import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import { failManage } from './adoption.ts';
import { failAttach, failDetach, listAttachments } from './attachments.ts';
import type { Queries, Registry } from './open-registry.ts';
import type { Operation } from './operation-rules.ts';
import { failOperation } from './operations.ts';
import { failRevert } from './reverting.ts';
import { failSnapshotManage, failSnapshotUnmanage } from './snapshot-adoption.ts';
import { failSnapshot, failSnapshotDelete, listSnapshots } from './snapshots.ts';

const heldOperation = z.object({
  volumeId: z.uuid(),
  operation: z.string(),
  owner: z.string(),
  since: z.date(),
  host: z.string(),
  /** Absent: told by an older worker. */
  nameId: z.uuid().nullable().optional(),
  /** Of an attach or detach: the attachment that it makes or ends. */
  attachmentId: z.uuid().nullable(),
  instanceId: z.string().nullable(),
  computeHost: z.string().nullable(),
  /** The hypervisor has a compute worker, which may have put the disk into the guest. */
  hasComputeWorker: z.boolean(),
  /** Of a snapshot that is being made, managed, deleted or unmanaged. Absent: told by an older worker. */
  snapshotId: z.uuid().nullable().optional(),
});

/** An operation that holds a volume now. */
export type HeldOperation = z.infer<typeof heldOperation>;

/** Every operation that holds a volume now, the oldest first; or that of one volume. */
export function listHeldOperations(
  registry: Queries,
  filter: { volumeId?: string | undefined } = {},
): Promise<HeldOperation[]> {
  return registry.rows(
    heldOperation,
    `SELECT v.id AS volume_id, v.operation, v.operation_owner AS owner, v.operation_since AS since, v.host, v.name_id,
       a.id AS attachment_id, a.instance_id, a.compute_host, s.id AS snapshot_id,
       EXISTS (SELECT FROM compute_nodes c WHERE c.name = a.compute_host)
         AND NOT EXISTS (SELECT FROM client_attachments c WHERE c.id = a.id) AS has_compute_worker
     FROM volumes v LEFT JOIN LATERAL (
       SELECT * FROM attachments WHERE volume_id = v.id
         AND (v.operation, status) IN (('attach', 'reserved'), ('detach', 'detaching')) LIMIT 1
     ) a ON true LEFT JOIN LATERAL (
       SELECT id FROM snapshots WHERE volume_id = v.id AND v.operation LIKE '%snapshot'
         AND status IN ('creating', 'deleting') LIMIT 1
     ) s ON true WHERE v.operation IS NOT NULL AND ($1::uuid IS NULL OR v.id = $1) ORDER BY v.operation_since`,
    [filter.volumeId ?? null],
  );
}

/** How an operation on an attachment fails, and the status of the attachment that it is on. */
const attachmentFailures: { readonly [O in Operation]?: { touched: string; fail: typeof failAttach } } = {
  attach: { touched: 'reserved', fail: failAttach },
  detach: { touched: 'detaching', fail: failDetach },
};

/** The same of snapshots. */
const snapshotFailures: { readonly [O in Operation]?: { touched: string; fail: typeof failSnapshot } } = {
  snapshot: { touched: 'creating', fail: failSnapshot },
  'delete-snapshot': { touched: 'deleting', fail: failSnapshotDelete },
  'manage-snapshot': { touched: 'creating', fail: failSnapshotManage },
  'unmanage-snapshot': { touched: 'deleting', fail: failSnapshotUnmanage },
};

/**
 * Ends an operation that nobody carries on any more as a failed one: the volume is free, in the status that a failure leaves it in. The
 * owner is the guard: what it still writes is refused, and an operation of another owner is not touched (`Fenced`). `untouched`: its device
 * is whole. May be repeated.
 */
export async function failHeldOperation(
  registry: Registry,
  held: Pick<HeldOperation, 'volumeId' | 'operation' | 'owner'>,
  reason: Reason,
  untouched = false,
): Promise<void> {
  const operation = held.operation as Operation;
  const failed = { volumeId: held.volumeId, owner: held.owner, reason };
  if (operation === 'manage') return failManage(registry, failed);
  if (operation === 'revert') return failRevert(registry, { ...failed, untouched });
  const ofAttachment = attachmentFailures[operation];
  if (ofAttachment) {
    const attachment = (await listAttachments(registry, failed)).find(({ status }) => status === ofAttachment.touched);
    if (attachment) return ofAttachment.fail(registry, { ...failed, attachmentId: attachment.id });
  }
  const ofSnapshot = snapshotFailures[operation];
  if (ofSnapshot) {
    const snapshots = await listSnapshots(registry, { volumeId: held.volumeId });
    const snapshot = snapshots.find(({ status }) => status === ofSnapshot.touched);
    if (snapshot) return ofSnapshot.fail(registry, { ...failed, snapshotId: snapshot.id });
  }
  await failOperation(registry, operation, failed);
}
