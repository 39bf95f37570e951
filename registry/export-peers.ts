import * as z from 'zod';
import type { Queries } from './open-registry.ts';

const peer = z.object({ name: z.string() });

/**
 * The machines that an export is meant for, by its name, which says what it is: the hypervisor whose guest has an attachment or is being
 * mirrored, the node that a migration copies to, the node that a new volume is made on. Empty: nobody's.
 */
export async function exportPeers(registry: Queries, exportName: string): Promise<string[]> {
  const found = await registry.rows(
    peer,
    `SELECT a.compute_host AS name FROM attachments a WHERE 'attachment-' || a.id = $1 OR a.connection ->> 'exportName' = $1
     UNION
     SELECT a.compute_host FROM migrations m JOIN attachments a ON a.volume_id = m.volume_id
     WHERE 'volume-' || m.destination_name_id = $1 AND m.outcome IS NULL
     UNION
     SELECT split_part(m.destination, '@', 1) FROM migrations m WHERE 'migration-' || m.id = $1
     UNION
     SELECT split_part(v.host, '@', 1) FROM volumes v WHERE 'copy-' || v.id = $1
     ORDER BY name`,
    [exportName],
  );
  return found.map(({ name }) => name);
}
