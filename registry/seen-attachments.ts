import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { seenAttachment, type SeenAttachment } from '../model/seen-attachment.ts';
import type { Queries } from './open-registry.ts';

/** Which are wanted; all, if nothing is given. */
export interface SeenFilter {
  id?: string | undefined;
  tenantId?: string | undefined;
  volumeId?: string | undefined;
  volumeIds?: readonly string[] | undefined;
  instanceId?: string | undefined;
  status?: string | undefined;
}

/** The attachments that fit, as the clients of Cinder's API see them, the newest first. */
export function listSeenAttachments(registry: Queries, filter: SeenFilter = {}): Promise<SeenAttachment[]> {
  return registry.rows(
    seenAttachment,
    `SELECT * FROM (
       SELECT coalesce(c.id, a.id) AS id, v.id AS volume_id, v.tenant_id,
         CASE WHEN c.id IS NULL THEN a.instance_id ELSE c.instance_id END AS instance_id,
         coalesce(a.compute_host, c.host) AS host, coalesce(c.device, '/dev/' || a.device) AS device,
         coalesce(a.mode, c.mode) AS mode,
         CASE WHEN a.status = 'detaching' THEN a.status WHEN c.id IS NOT NULL THEN c.status
              WHEN a.status = 'reserved' THEN 'attaching' ELSE a.status END AS status,
         a.connection, coalesce(c.attached_at, a.attached_at) AS attached_at, c.id IS NOT NULL AS is_clients,
         coalesce(c.created_at, a.created_at) AS created_at
       FROM client_attachments c FULL JOIN attachments a ON a.id = c.id
       JOIN volumes v ON v.id = coalesce(c.volume_id, a.volume_id)
     ) seen
     WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR tenant_id = $2) AND ($3::uuid IS NULL OR volume_id = $3)
       AND ($4::uuid[] IS NULL OR volume_id = ANY ($4)) AND ($5::text IS NULL OR instance_id = $5)
       AND ($6::text IS NULL OR status = $6)
     ORDER BY created_at DESC, id DESC`,
    [
      filter.id ?? null,
      filter.tenantId ?? null,
      filter.volumeId ?? null,
      filter.volumeIds ?? null,
      filter.instanceId ?? null,
      filter.status ?? null,
    ],
  );
}

/** `AttachmentNotFound` if there is none, or its volume is another tenant's. */
export async function findSeenAttachment(
  registry: Queries,
  id: string,
  visible: { tenantId?: string | undefined } = {},
): Promise<SeenAttachment> {
  const [found] = z.uuid().safeParse(id).success ? await listSeenAttachments(registry, { ...visible, id }) : [];
  if (!found) throw new FerryError('AttachmentNotFound', `Attachment ${id} could not be found.`, { attachmentId: id });
  return found;
}
