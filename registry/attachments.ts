import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { attachment, type Attachment } from '../model/volume.ts';
import { showStanding, standingOf } from './client-attachments.ts';
import type { Queries, Registry } from './open-registry.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from './operations.ts';
import { noColumns } from './rows.ts';

/** The attachments that fit, the oldest first. */
export function listAttachments(
  registry: Queries,
  filter: {
    volumeId?: string | undefined;
    tenantId?: string | undefined;
    instanceId?: string | undefined;
    computeHost?: string | undefined;
  } = {},
): Promise<Attachment[]> {
  return registry.rows(
    attachment,
    `SELECT a.* FROM attachments a JOIN volumes v ON v.id = a.volume_id
     WHERE ($1::uuid IS NULL OR a.volume_id = $1) AND ($2::text IS NULL OR v.tenant_id = $2) AND ($3::text IS NULL OR a.instance_id = $3)
       AND ($4::text IS NULL OR a.compute_host = $4)
     ORDER BY a.created_at, a.id`,
    [filter.volumeId ?? null, filter.tenantId ?? null, filter.instanceId ?? null, filter.computeHost ?? null],
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
  /** A client reserved the volume for this attachment, and brings it into the guest itself. */
  isClients?: boolean | undefined;
}

/**
 * Takes an available volume for an attachment, or one that is reserved for just this one: status `attaching`, the attachment `reserved`.
 * Repeats and refusals as any operation.
 */
export function beginAttach(registry: Registry, wanted: NewAttachment): Promise<Attachment> {
  return registry.transaction(async (q) => {
    // Asked before too, for its words: the status of what somebody else has says less.
    if (wanted.isClients) await mustBeReservedFor(q, wanted);
    const { readOnly } = await beginOperation(q, 'attach', { ...wanted, force: wanted.isClients });
    await mustBeReservedFor(q, wanted);
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

/** Who may have the volume is decided with the volume's row locked: another's reservation, or another's connection, stands against it. */
async function mustBeReservedFor(q: Queries, wanted: NewAttachment): Promise<void> {
  const { volumeId, attachmentId, isClients = false } = wanted;
  const reserved = await q.rows(reservation, 'SELECT id FROM client_attachments WHERE volume_id = $1', [volumeId]);
  const connected = (await listAttachments(q, { volumeId })).some(({ id }) => id !== attachmentId);
  const its = reserved.some(({ id }) => id === attachmentId);
  if (isClients ? its && !connected : reserved.length === 0) return;
  if (isClients && !its)
    throw new FerryError('AttachmentNotFound', `Attachment ${attachmentId} could not be found.`, { attachmentId });
  throw new FerryError(
    'VolumeStatusRefused',
    connected ? `Volume ${volumeId} is connected to another host.` : `Volume ${volumeId} is reserved for another.`,
    { volumeId, operation: 'attach', isConnected: connected },
  );
}

const reservation = z.object({ id: z.uuid() });

export interface Attached extends Ticket {
  attachmentId: string;
  /** As the guest knows it, e.g. `vda`. */
  device?: string | null | undefined;
  connection?: Record<string, unknown> | null | undefined;
}

/** The guest, or its client, can use the volume: `in-use`; it shows `attaching` until a client says that it has it. May be repeated. */
export function finishAttach(registry: Registry, done: Attached): Promise<void> {
  return registry.transaction(async (q) => {
    // Before the operation ends: with that it is told who has the volume, and as what. Only its owner changes anything.
    await q.rows(
      noColumns,
      `UPDATE attachments a SET status = 'attached', attached_at = now(), device = $3, connection = $4 FROM volumes v
       WHERE a.id = $1 AND a.volume_id = $2 AND v.id = $2 AND v.operation = 'attach' AND v.operation_owner = $5`,
      [done.attachmentId, done.volumeId, done.device ?? null, done.connection ?? null, done.owner],
    );
    if (!(await finishOperation(q, 'attach', done, { status: 'in-use' }))) return;
    await q.rows(
      noColumns,
      `UPDATE client_attachments c SET status = 'attaching', attached_at = now(), host = a.compute_host
       FROM attachments a WHERE c.id = $1 AND a.id = c.id AND c.status = 'reserved'`,
      [done.attachmentId],
    );
    await showStanding(q, done.volumeId);
  });
}

/** The guest did not get the volume: it is what it was before, the attachment is gone, or reserved as before. May be repeated. */
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
    await showStanding(q, failed.volumeId);
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

/**
 * The guest has let go: the attachment is gone, the volume available again, or what its other attachments make of it. `connectionOnly`: what
 * a client has said to have attached stays so, without a connection, and shows `detaching`. May be repeated.
 */
export function finishDetach(
  registry: Registry,
  ticket: Ticket & { attachmentId: string; connectionOnly?: boolean | undefined },
): Promise<void> {
  return registry.transaction(async (q) => {
    const { volumeId, attachmentId, connectionOnly = false } = ticket;
    const its = await q.rows(
      reservation,
      `SELECT id FROM client_attachments WHERE id = $1 AND volume_id = $2 AND status = 'attached'`,
      [attachmentId, volumeId],
    );
    const stays = connectionOnly && its.length > 0;
    const { status, shown } = await standingOf(q, volumeId, stays ? null : attachmentId);
    if (!(await finishOperation(q, 'detach', ticket, { status }))) return;
    await q.rows(noColumns, 'DELETE FROM attachments WHERE id = $1 AND volume_id = $2', [attachmentId, volumeId]);
    if (!stays) await q.rows(noColumns, 'DELETE FROM client_attachments WHERE id = $1', [attachmentId]);
    await q.rows(noColumns, 'UPDATE volumes SET shown_status = $2 WHERE id = $1', [
      volumeId,
      stays ? 'detaching' : shown,
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
    await showStanding(q, failed.volumeId);
  });
}
