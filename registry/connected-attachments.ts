import * as z from 'zod';
import { nbdConnection, type NbdConnection } from '../model/connection.ts';
import { noColumns } from './rows.ts';
import type { Queries } from './open-registry.ts';

const connected = z.object({
  attachmentId: z.uuid(),
  volumeId: z.uuid(),
  host: z.string(),
  deviceName: z.string(),
  identity: z.string().nullable(),
  generation: z.number(),
  mode: z.enum(['rw', 'ro']),
  connection: nbdConnection,
});

/** An attachment that a guest may use, and where its volume is now. */
export type ConnectedAttachment = z.infer<typeof connected>;

/** The attachments with a connection of the volumes on these back ends; those that are being detached not: their export ends. */
export function listConnectedAttachments(
  registry: Queries,
  backEnds: readonly string[],
): Promise<ConnectedAttachment[]> {
  return registry.rows(
    connected,
    `SELECT a.id AS attachment_id, v.id AS volume_id, v.host, 'volume-' || coalesce(v.name_id, v.id) AS device_name,
       v.device_identity AS identity, v.generation, a.mode, a.connection
     FROM attachments a JOIN volumes v ON v.id = a.volume_id
     WHERE v.host = ANY ($1) AND a.status = 'attached' AND a.connection ->> 'protocol' = 'nbd'
     ORDER BY a.created_at`,
    [[...backEnds]],
  );
}

/**
 * Writes where the attachment's export is now, if the volume is still there and attached so. False when it is not: then the export is
 * nobody's.
 */
export async function reconnect(
  registry: Queries,
  attachment: ConnectedAttachment,
  now: NbdConnection,
): Promise<boolean> {
  const changed = await registry.rows(
    noColumns,
    `UPDATE attachments a SET connection = a.connection || $4 FROM volumes v
     WHERE a.id = $1 AND v.id = a.volume_id AND v.host = $2 AND 'volume-' || coalesce(v.name_id, v.id) = $3 AND a.status = 'attached'
       AND a.connection ->> 'exportName' = $5
     RETURNING a.id`,
    [attachment.attachmentId, attachment.host, attachment.deviceName, now, attachment.connection.exportName],
  );
  return changed.length > 0;
}
