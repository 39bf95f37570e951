import { volume, type Volume } from '../model/volume.ts';
import type { Queries } from './open-registry.ts';
import { volumeNotFound, type Visibility } from './volumes.ts';

/**
 * Sets and removes keys of a volume's metadata, the others stay. Touches no device, so it goes on during a migration, as in Cinder.
 * `VolumeNotFound` if there is none, or it is not the tenant's. May be repeated.
 */
export async function changeMetadata(
  registry: Queries,
  volumeId: string,
  change: { set?: Record<string, string>; unset?: readonly string[] },
  visible: Visibility = {},
): Promise<Volume> {
  const [changed] = await registry.rows(
    volume,
    `UPDATE volumes SET metadata = (metadata || $3::jsonb) - $4::text[], updated_at = now()
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) RETURNING *`,
    [volumeId, visible.tenantId ?? null, change.set ?? {}, [...(change.unset ?? [])]],
  );
  if (!changed) throw volumeNotFound(volumeId);
  return changed;
}
