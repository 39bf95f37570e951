import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeId as volumeIdSchema } from '../model/ids.ts';
import { nameIdOf } from '../model/names.ts';
import { volume, type Volume, type VolumeStatus } from '../model/volume.ts';
import type { Queries } from './open-registry.ts';

/** Whose volumes the caller may see: one tenant's, or all (an administrator, a workflow). */
export interface Visibility {
  tenantId?: string | undefined;
}

/** The volume. `VolumeNotFound` if there is none, or it is not the tenant's. */
export async function findVolume(registry: Queries, volumeId: string, visible: Visibility = {}): Promise<Volume> {
  const found = await volumeOrNull(registry, volumeId, visible);
  if (!found) throw volumeNotFound(volumeId);
  return found;
}

export async function volumeOrNull(
  registry: Queries,
  volumeId: string,
  visible: Visibility = {},
): Promise<Volume | null> {
  const id = volumeIdSchema.safeParse(volumeId);
  if (!id.success) return null;
  const [found] = await registry.rows(
    volume,
    'SELECT * FROM volumes WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)',
    [id.data, visible.tenantId ?? null],
  );
  return found ?? null;
}

export function volumeNotFound(volumeId: string): FerryError {
  return new FerryError('VolumeNotFound', `Volume ${volumeId} could not be found.`, { volumeId });
}

export interface VolumeFilter extends Visibility {
  name?: string | undefined;
  host?: string | undefined;
  status?: VolumeStatus | undefined;
  /** Claimed by a migration, or not. */
  migrating?: boolean | undefined;
  /** Held by an operation, or not. */
  busy?: boolean | undefined;
  limit?: number | undefined;
  /** Go on after this volume of the last page. */
  after?: string | undefined;
}

/** The volumes that fit, newest first. */
export function listVolumes(registry: Queries, filter: VolumeFilter = {}): Promise<Volume[]> {
  return registry.rows(
    volume,
    `SELECT * FROM volumes WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR name = $2)
       AND ($3::text IS NULL OR host = $3) AND ($4::text IS NULL OR status = $4)
       AND ($5::boolean IS NULL OR (migration_owner IS NOT NULL) = $5) AND ($6::boolean IS NULL OR (operation IS NOT NULL) = $6)
       AND ($7::uuid IS NULL OR (created_at, id) < (SELECT l.created_at, l.id FROM volumes l WHERE l.id = $7))
     ORDER BY created_at DESC, id DESC LIMIT $8`,
    [
      filter.tenantId ?? null,
      filter.name ?? null,
      filter.host ?? null,
      filter.status ?? null,
      filter.migrating ?? null,
      filter.busy ?? null,
      filter.after ?? null,
      filter.limit ?? null,
    ],
  );
}

/** Whether a volume's data is there, as the registry has it now: asked before a device is deleted. */
export async function isCurrentLocation(registry: Queries, backEnd: string, deviceName: string): Promise<boolean> {
  const nameId = nameIdOf(deviceName);
  if (nameId === null) return false;
  const [answer] = await registry.rows(
    z.object({ current: z.boolean() }),
    'SELECT EXISTS (SELECT FROM volumes WHERE host = $1 AND coalesce(name_id, id) = $2) AS current',
    [backEnd, nameId],
  );
  return answer?.current === true;
}

/**
 * Changes what people call the volume. Touches no device, so it goes on during a migration, as in Cinder. What is left out stays;
 * `metadata` replaces all of it. May be repeated.
 */
export async function describeVolume(
  registry: Queries,
  volumeId: string,
  change: { name?: string | null; description?: string | null; metadata?: Record<string, string>; bootable?: boolean },
  visible: Visibility = {},
): Promise<Volume> {
  const [changed] = await registry.rows(
    volume,
    `UPDATE volumes SET name = CASE WHEN $3 THEN $4 ELSE name END, description = CASE WHEN $5 THEN $6 ELSE description END,
       metadata = coalesce($7, metadata), bootable = coalesce($8, bootable), updated_at = now()
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) RETURNING *`,
    [
      volumeId,
      visible.tenantId ?? null,
      change.name !== undefined,
      change.name ?? null,
      change.description !== undefined,
      change.description ?? null,
      change.metadata ?? null,
      change.bootable ?? null,
    ],
  );
  if (!changed) throw volumeNotFound(volumeId);
  return changed;
}
