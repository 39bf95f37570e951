import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import {
  nothing,
  reasonOverQuota,
  type Holding,
  type QuotaLimits,
  type QuotaNeed,
  type TenantUse,
} from '../model/quota.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

const limitRow = z.object({ resource: z.string(), hardLimit: z.number() });

/** What is set for all tenants. */
export async function quotaDefaults(q: Queries): Promise<QuotaLimits> {
  return asLimits(await q.rows(limitRow, 'SELECT resource, hard_limit FROM quota_defaults'));
}

/** What counts for a tenant: what is set for it, else for all. */
export async function quotaLimits(q: Queries, tenantId: string): Promise<QuotaLimits> {
  return asLimits(
    await q.rows(
      limitRow,
      `SELECT resource, coalesce(own.hard_limit, every.hard_limit) AS hard_limit
       FROM quota_defaults every FULL JOIN (SELECT * FROM quotas WHERE tenant_id = $1) own USING (resource)`,
      [tenantId],
    ),
  );
}

function asLimits(rows: z.infer<typeof limitRow>[]): QuotaLimits {
  return Object.fromEntries(rows.map(({ resource, hardLimit }) => [resource, hardLimit]));
}

/** Sets limits, of a tenant or (null) of all that have none of their own; the others stay. May be repeated. */
export async function setQuotas(q: Queries, tenantId: string | null, limits: QuotaLimits): Promise<void> {
  const values = [Object.keys(limits), Object.values(limits)];
  if (tenantId === null)
    await q.rows(
      noColumns,
      `INSERT INTO quota_defaults (resource, hard_limit) SELECT * FROM unnest($1::text[], $2::bigint[])
       ON CONFLICT (resource) DO UPDATE SET hard_limit = excluded.hard_limit`,
      values,
    );
  else
    await q.rows(
      noColumns,
      `INSERT INTO quotas (tenant_id, resource, hard_limit) SELECT $3, * FROM unnest($1::text[], $2::bigint[])
       ON CONFLICT (tenant_id, resource) DO UPDATE SET hard_limit = excluded.hard_limit`,
      [...values, tenantId],
    );
}

/** The tenant has no limits of its own any more. May be repeated. */
export async function deleteQuotas(q: Queries, tenantId: string): Promise<void> {
  await q.rows(noColumns, 'DELETE FROM quotas WHERE tenant_id = $1', [tenantId]);
}

const useRow = z.object({
  volumeType: z.string().nullable(),
  volumes: z.number(),
  snapshots: z.number(),
  bytes: z.number(),
  reservedVolumes: z.number(),
  reservedBytes: z.number(),
  /** Reserved by volumes that get the type from another one: in all, they are counted already. */
  arrivingVolumes: z.number(),
  arrivingBytes: z.number(),
});

/** What the tenant has, counted now. */
export async function tenantUse(q: Queries, tenantId: string): Promise<TenantUse> {
  const rows = await q.rows(
    useRow,
    `SELECT volume_type, sum(volumes)::bigint AS volumes, sum(snapshots)::bigint AS snapshots, sum(bytes)::bigint AS bytes,
       0 AS reserved_volumes, sum(growth)::bigint AS reserved_bytes,
       sum(arriving_volumes)::bigint AS arriving_volumes, sum(arriving_bytes)::bigint AS arriving_bytes
     FROM (
       SELECT volume_type, 1 AS volumes, 0 AS snapshots, size_bytes AS bytes,
         coalesce(growing_to_bytes - size_bytes, 0) AS growth, 0 AS arriving_volumes, 0::bigint AS arriving_bytes
       FROM volumes WHERE tenant_id = $1
       UNION ALL
       SELECT v.volume_type, 0, 1, s.size_bytes, 0, 0, 0 FROM snapshots s JOIN volumes v ON v.id = s.volume_id WHERE s.tenant_id = $1
       UNION ALL
       SELECT m.new_type, 0, 0, 0, 0, 1, v.size_bytes FROM migrations m JOIN volumes v ON v.id = m.volume_id
       WHERE m.outcome IS NULL AND v.tenant_id = $1 AND m.new_type IS DISTINCT FROM v.volume_type AND m.new_type IS NOT NULL
     ) AS held GROUP BY volume_type`,
    [tenantId],
  );
  const types: Record<string, Holding> = {};
  let total = nothing;
  for (const { volumeType, arrivingVolumes, arrivingBytes, ...held } of rows) {
    total = sum(total, held);
    if (volumeType !== null)
      types[volumeType] = sum(held, { ...nothing, reservedVolumes: arrivingVolumes, reservedBytes: arrivingBytes });
  }
  return { total, types };
}

function sum(a: Holding, b: Holding): Holding {
  return {
    volumes: a.volumes + b.volumes,
    snapshots: a.snapshots + b.snapshots,
    bytes: a.bytes + b.bytes,
    reservedVolumes: a.reservedVolumes + b.reservedVolumes,
    reservedBytes: a.reservedBytes + b.reservedBytes,
  };
}

/**
 * Refuses with `QuotaExceeded` what would give a tenant more than it may have. For the transaction that adds it, before it does: until its
 * end, nobody else adds anything for that tenant. The last of the locks that it takes: back end, type, volume, quota.
 */
export async function requireQuota(q: Queries, tenantId: string, need: QuotaNeed): Promise<void> {
  await q.rows(noColumns, `SELECT pg_advisory_xact_lock(hashtextextended('ferry quota ' || $1, 0))`, [tenantId]);
  const limits = await quotaLimits(q, tenantId);
  // Counting takes a while where there is much, and most have no limits.
  if (Object.values(limits).every((limit) => limit < 0)) return;
  const reason = reasonOverQuota(limits, await tenantUse(q, tenantId), need);
  if (reason) throw new FerryError(reason.type, reason.message, { tenantId, ...reason.details });
}
