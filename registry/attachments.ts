import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { attachment, type Attachment } from '../model/volume.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { noColumns } from './rows.ts';

/** The attachments that fit, the oldest first. */
export function listAttachments(
  registry: Queries,
  filter: {
    volumeId?: string | undefined;
    volumeIds?: readonly string[] | undefined;
    tenantId?: string | undefined;
    instanceId?: string | undefined;
    computeHost?: string | undefined;
  } = {},
): Promise<Attachment[]> {
  return registry.rows(
    attachment,
    `SELECT a.* FROM attachments a JOIN volumes v ON v.id = a.volume_id
     WHERE ($1::uuid IS NULL OR a.volume_id = $1) AND ($2::text IS NULL OR v.tenant_id = $2) AND ($3::text IS NULL OR a.instance_id = $3)
       AND ($4::text IS NULL OR a.compute_host = $4) AND ($5::uuid[] IS NULL OR a.volume_id = ANY ($5))
     ORDER BY a.created_at, a.id`,
    [
      filter.volumeId ?? null,
      filter.tenantId ?? null,
      filter.instanceId ?? null,
      filter.computeHost ?? null,
      filter.volumeIds ?? null,
    ],
  );
}

/** The attachment. `AttachmentNotFound` if there is none, or its volume is not the tenant's. */
export async function findAttachment(
  registry: Queries,
  id: string,
  visible: { tenantId?: string | undefined } = {},
): Promise<Attachment> {
  const valid = z.uuid().safeParse(id);
  const [found] = valid.success
    ? await registry.rows(
        attachment,
        `SELECT a.* FROM attachments a JOIN volumes v ON v.id = a.volume_id
         WHERE a.id = $1 AND ($2::text IS NULL OR v.tenant_id = $2)`,
        [valid.data, visible.tenantId ?? null],
      )
    : [];
  if (!found) throw new FerryError('AttachmentNotFound', `Attachment ${id} could not be found.`, { attachmentId: id });
  return found;
}

export interface NewAttachment extends Ticket {
  attachmentId: string;
  instanceId: string;
  computeHost: string;
  mode?: Attachment['mode'] | undefined;
}

/** Takes an available volume for an attachment: status `attaching`, the attachment `reserved`. Repeats and refusals as any operation. */
export function beginAttach(registry: Registry, wanted: NewAttachment): Promise<Attachment> {
  return registry.transaction(async (q) => {
    const { readOnly } = await beginOperation(q, 'attach', wanted);
    if (readOnly && (wanted.mode ?? 'rw') !== 'ro')
      throw new FerryError(
        'VolumeStatusRefused',
        `Volume ${wanted.volumeId} may only be read; attach it with the mode ro.`,
        { volumeId: wanted.volumeId, operation: 'attach' },
      );
    await q.rows(
      noColumns,
      `INSERT INTO attachments (id, volume_id, instance_id, compute_host, mode, status) VALUES ($1, $2, $3, $4, $5, 'reserved')
       ON CONFLICT (id) DO NOTHING`,
      [wanted.attachmentId, wanted.volumeId, wanted.instanceId, wanted.computeHost, wanted.mode ?? 'rw'],
    );
    return findAttachment(q, wanted.attachmentId);
  });
}

export interface Attached extends Ticket {
  attachmentId: string;
  /** As the guest knows it, e.g. `vda`. */
  device?: string | null | undefined;
  connection?: Record<string, unknown> | null | undefined;
}

/** The guest has the volume: `in-use`. May be repeated. */
export function finishAttach(registry: Registry, done: Attached): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await finishOperation(q, 'attach', done, { status: 'in-use' }))) return;
    await q.rows(
      noColumns,
      `UPDATE attachments SET status = 'attached', attached_at = now(), device = $3, connection = $4 WHERE id = $1 AND volume_id = $2`,
      [done.attachmentId, done.volumeId, done.device ?? null, done.connection ?? null],
    );
  });
}

/** The guest did not get the volume: it is available again, the attachment is gone. May be repeated. */
export function failAttach(
  registry: Registry,
  failed: Ticket & { attachmentId: string; reason: Reason },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await failOperation(q, 'attach', failed))) return;
    await q.rows(noColumns, 'DELETE FROM attachments WHERE id = $1 AND volume_id = $2', [
      failed.attachmentId,
      failed.volumeId,
    ]);
  });
}

/** Takes the volume to detach it: status `detaching`, also of the attachment. Refused as any operation, and with `AttachmentNotFound`. */
export function beginDetach(registry: Registry, ticket: Ticket & { attachmentId: string }): Promise<Attachment> {
  return registry.transaction(async (q) => {
    await beginOperation(q, 'detach', ticket);
    const found = await findAttachment(q, ticket.attachmentId, ticket);
    const [detaching] = await q.rows(
      attachment,
      `UPDATE attachments SET status = 'detaching', attached_at = coalesce(attached_at, now()) WHERE id = $1 AND volume_id = $2 RETURNING *`,
      [found.id, ticket.volumeId],
    );
    if (detaching) return detaching;
    throw new FerryError('AttachmentNotFound', `Volume ${ticket.volumeId} has no attachment ${ticket.attachmentId}.`, {
      attachmentId: ticket.attachmentId,
    });
  });
}

/** The guest has let go: the attachment is gone, the volume available again (or `in-use` by another instance). May be repeated. */
export function finishDetach(registry: Registry, ticket: Ticket & { attachmentId: string }): Promise<void> {
  return registry.transaction(async (q) => {
    const others = (await listAttachments(q, { volumeId: ticket.volumeId })).some((a) => a.id !== ticket.attachmentId);
    if (!(await finishOperation(q, 'detach', ticket, { status: others ? 'in-use' : 'available' }))) return;
    await q.rows(noColumns, 'DELETE FROM attachments WHERE id = $1 AND volume_id = $2', [
      ticket.attachmentId,
      ticket.volumeId,
    ]);
  });
}

/** The guest kept the volume: all is as it was before. May be repeated. */
export function failDetach(
  registry: Registry,
  failed: Ticket & { attachmentId: string; reason: Reason },
): Promise<void> {
  return registry.transaction(async (q) => {
    if (!(await failOperation(q, 'detach', failed))) return;
    await q.rows(noColumns, `UPDATE attachments SET status = 'attached' WHERE id = $1 AND volume_id = $2`, [
      failed.attachmentId,
      failed.volumeId,
    ]);
  });
}
