import * as z from 'zod';
import { connection } from '../model/connection.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

const guestDisk = z.object({
  attachmentId: z.uuid(),
  volumeId: z.uuid(),
  instanceId: z.string(),
  mode: z.enum(['rw', 'ro']),
  connection,
  /** The devices that the volume was on before, as the records of its migrations have them. */
  left: z.array(z.string()),
  /** A migration or an operation is at its volume. */
  busy: z.boolean(),
});

/** An attachment of Ferry's own that stands, as the registry has it. */
export type GuestDisk = z.infer<typeof guestDisk>;

/** Those of the hypervisor's guests; or the one of that id, if it still is one. */
export function listGuestDisks(
  registry: Queries,
  computeHost: string,
  attachmentId: string | null = null,
): Promise<GuestDisk[]> {
  return registry.rows(
    guestDisk,
    `SELECT a.id AS attachment_id, v.id AS volume_id, a.instance_id, a.mode, a.connection,
       ARRAY(SELECT 'volume-' || coalesce(m.source_name_id, m.volume_id) FROM migrations m
             WHERE m.volume_id = v.id AND m.switched_at IS NOT NULL) AS left,
       v.migration_owner IS NOT NULL OR v.operation IS NOT NULL AS busy
     FROM attachments a JOIN volumes v ON v.id = a.volume_id
     WHERE a.compute_host = $1 AND ($2::uuid IS NULL OR a.id = $2) AND a.status = 'attached' AND a.connection ? 'protocol'
       AND NOT EXISTS (SELECT FROM client_attachments c WHERE c.id = a.id)
     ORDER BY a.created_at, a.id`,
    [computeHost, attachmentId],
  );
}

/** Writes which libvirt domain has the disk, where that is not known yet. May be repeated. */
export async function noteDomain(registry: Queries, { attachmentId }: GuestDisk, domain: string): Promise<void> {
  await registry.rows(
    noColumns,
    `UPDATE attachments SET connection = connection || jsonb_build_object('domain', $2::text)
     WHERE id = $1 AND status = 'attached' AND NOT connection ? 'domain'`,
    [attachmentId, domain],
  );
}
