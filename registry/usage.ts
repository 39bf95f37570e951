import * as z from 'zod';
import type { Queries } from './open-registry.ts';

/** What one tenant has on a back end. */
const usage = z.object({
  tenantId: z.string(),
  volumes: z.number(),
  volumeBytes: z.number(),
  snapshots: z.number(),
  snapshotBytes: z.number(),
});
export type Usage = z.infer<typeof usage>;

/** What is on a back end, a tenant. Bytes as volumes may have at most: thin ones take less. */
export function usageOf(registry: Queries, backEnd: string): Promise<Usage[]> {
  return registry.rows(
    usage,
    `SELECT v.tenant_id, count(*)::int AS volumes, sum(v.size_bytes)::bigint AS volume_bytes,
       coalesce(sum(s.snapshots), 0)::int AS snapshots, coalesce(sum(s.bytes), 0)::bigint AS snapshot_bytes
     FROM volumes v LEFT JOIN LATERAL (
       SELECT count(*) AS snapshots, sum(size_bytes) AS bytes FROM snapshots WHERE volume_id = v.id
     ) s ON true
     WHERE v.host = $1 GROUP BY v.tenant_id ORDER BY v.tenant_id`,
    [backEnd],
  );
}
