import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeTypeNotFound } from '../model/preconditions.ts';
import type { VolumeType } from '../model/volume-type.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';
import type { Visibility } from './volumes.ts';

/** Of a type `t`: whether the tenant of the parameter may see it and have volumes of it; null: everybody's. */
export const visibleType = (tenant: string): string =>
  `(${tenant}::text IS NULL OR t.is_public
    OR EXISTS (SELECT FROM volume_type_access a WHERE a.type_id = t.id AND a.tenant_id = ${tenant}))`;

/** `VolumeTypeNotFound` unless the tenant may have volumes of the type of that name. */
export async function mustSeeType(q: Queries, name: string, { tenantId }: Visibility): Promise<void> {
  const seen = await q.rows(noColumns, `SELECT FROM volume_types t WHERE t.name = $1 AND ${visibleType('$2')}`, [
    name,
    tenantId ?? null,
  ]);
  if (seen.length > 0) return;
  const { type, message, details } = volumeTypeNotFound(name);
  throw new FerryError(type, message, details);
}

/** The tenants that may have volumes of a private type, in order. */
export async function listTypeAccess(q: Queries, { id }: Pick<VolumeType, 'id'>): Promise<string[]> {
  const rows = await q.rows(
    z.object({ tenantId: z.string() }),
    'SELECT tenant_id FROM volume_type_access WHERE type_id = $1 ORDER BY tenant_id',
    [id],
  );
  return rows.map(({ tenantId }) => tenantId);
}

/** The tenant may have volumes of the type. False when it could already. */
export async function addTypeAccess(q: Queries, { id }: Pick<VolumeType, 'id'>, tenantId: string): Promise<boolean> {
  const added = await q.rows(
    noColumns,
    'INSERT INTO volume_type_access (type_id, tenant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING type_id',
    [id, tenantId],
  );
  return added.length > 0;
}

/** The tenant may have no more volumes of the type than it has. False when it could have none before. */
export async function removeTypeAccess(q: Queries, { id }: Pick<VolumeType, 'id'>, tenantId: string): Promise<boolean> {
  const removed = await q.rows(
    noColumns,
    'DELETE FROM volume_type_access WHERE type_id = $1 AND tenant_id = $2 RETURNING type_id',
    [id, tenantId],
  );
  return removed.length > 0;
}
