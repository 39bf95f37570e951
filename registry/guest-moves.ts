import * as z from 'zod';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

const guestMove = z.object({
  attachmentId: z.uuid(),
  volumeId: z.uuid(),
  instanceId: z.string(),
  /** The libvirt domain's UUID. */
  domain: z.string(),
  toHost: z.string(),
  /** The hypervisor that has the attachment says that the guest is gone from there. */
  hasLeft: z.boolean(),
});

/** A guest with an attached volume that libvirt migrates from the hypervisor that the registry has it on to another one. */
export type GuestMove = z.infer<typeof guestMove>;

/** A word counts for so long: it is repeated every few seconds for as long as it is true. */
const freshFor = "interval '30 seconds'";

/** Those that come to the hypervisor by its own word, and those that leave it by the word of another one. */
export function guestMovesOf(registry: Queries, host: string): Promise<GuestMove[]> {
  return registry.rows(
    guestMove,
    `SELECT g.attachment_id, a.volume_id, a.instance_id, a.connection ->> 'domain' AS domain, g.to_host, g.left_at IS NOT NULL AS has_left
     FROM guest_moves g JOIN attachments a ON a.id = g.attachment_id WHERE g.to_host = $1 OR a.compute_host = $1`,
    [host],
  );
}

/**
 * Of these domains of the hypervisor's those with a volume that the registry has attached to them on another one, by an export. What a client
 * has attached moves in the client's own way.
 */
export function attachedElsewhere(
  registry: Queries,
  host: string,
  domains: readonly string[],
): Promise<{ attachmentId: string; domain: string }[]> {
  return registry.rows(
    z.object({ attachmentId: z.uuid(), domain: z.string() }),
    `SELECT a.id AS attachment_id, a.connection ->> 'domain' AS domain FROM attachments a
     WHERE a.connection ->> 'domain' = ANY ($2::text[]) AND a.compute_host <> $1 AND a.status = 'attached'
       AND a.connection ->> 'protocol' = 'nbd' AND NOT EXISTS (SELECT FROM client_attachments c WHERE c.id = a.id)`,
    [host, [...domains]],
  );
}

/** Writes that the hypervisor has the guest of the attachment: on its way in, or there already. May be repeated. */
export async function noteArriving(
  registry: Queries,
  { attachmentId, toHost, isComingIn }: { attachmentId: string; toHost: string; isComingIn: boolean },
): Promise<void> {
  await registry.rows(
    noColumns,
    `INSERT INTO guest_moves AS g (attachment_id, to_host, arriving_at)
     SELECT id, $2, CASE WHEN $3 THEN now() END FROM attachments WHERE id = $1
     ON CONFLICT (attachment_id, to_host) DO UPDATE
       SET arriving_at = coalesce(EXCLUDED.arriving_at, g.arriving_at), left_at = CASE WHEN NOT $3 THEN g.left_at END`,
    [attachmentId, toHost, isComingIn],
  );
}

/** Writes what the hypervisor of the attachment has found: the guest is on its way out, gone, or there as ever. May be repeated. */
export async function noteLeaving(
  registry: Queries,
  { attachmentId, toHost }: GuestMove,
  found: 'leaving' | 'gone' | 'here',
): Promise<void> {
  await registry.rows(
    noColumns,
    `UPDATE guest_moves SET leaving_at = CASE WHEN $3 = 'leaving' THEN now() ELSE leaving_at END,
       left_at = CASE WHEN $3 = 'gone' THEN coalesce(left_at, now()) END
     WHERE attachment_id = $1 AND to_host = $2`,
    [attachmentId, toHost, found],
  );
}

/** The guest is not on its way to the hypervisor any more. May be repeated. */
export async function forgetMove(registry: Queries, { attachmentId, toHost }: GuestMove): Promise<void> {
  await registry.rows(noColumns, 'DELETE FROM guest_moves WHERE attachment_id = $1 AND to_host = $2', [
    attachmentId,
    toHost,
  ]);
}

/**
 * The attachment is the other hypervisor's from now on, whose guest it is. Whether it is: not while a migration or an operation is at its
 * volume, and only if its hypervisor has said that the guest is gone from there. May be repeated.
 */
export async function arrive(registry: Queries, { attachmentId, toHost }: GuestMove): Promise<boolean> {
  const moved = await registry.rows(
    z.object({ id: z.uuid() }),
    `UPDATE attachments a SET compute_host = g.to_host
     FROM guest_moves g, volumes v
     WHERE a.id = $1 AND g.attachment_id = a.id AND g.to_host = $2 AND g.left_at IS NOT NULL
       AND v.id = a.volume_id AND v.operation IS NULL AND v.migration_owner IS NULL AND a.status = 'attached'
     RETURNING a.id`,
    [attachmentId, toHost],
  );
  if (moved.length > 0)
    await registry.rows(noColumns, 'DELETE FROM guest_moves WHERE attachment_id = $1', [attachmentId]);
  return moved.length > 0;
}

/**
 * Whom the exports of these back ends are to let in beside the guest that has them: the hypervisor that it comes to. Both hypervisors must
 * have said so just now.
 */
export function admittedHosts(
  registry: Queries,
  backEnds: readonly string[],
): Promise<{ exportName: string; toHost: string }[]> {
  return registry.rows(
    z.object({ exportName: z.string(), toHost: z.string() }),
    `SELECT a.connection ->> 'exportName' AS export_name, g.to_host
     FROM guest_moves g JOIN attachments a ON a.id = g.attachment_id JOIN volumes v ON v.id = a.volume_id
     WHERE v.host = ANY ($1) AND a.connection ->> 'backEnd' = v.host AND a.connection ? 'exportName' AND a.status = 'attached'
       AND g.arriving_at > now() - ${freshFor} AND g.leaving_at > now() - ${freshFor} AND g.left_at IS NULL
     ORDER BY g.attachment_id, g.arriving_at`,
    [[...backEnds]],
  );
}
