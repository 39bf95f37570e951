import { FerryError } from '../model/errors.ts';
import { snapshot, snapshotStatusOf, type ShownSnapshotStatus, type Snapshot } from '../model/snapshot.ts';
import type { Queries, Registry } from './open-registry.ts';
import { listClaims } from './migrations.ts';
import { reasonHeld } from './operation-rules.ts';
import { findSnapshot, snapshotNotFound } from './snapshots.ts';
import { findVolume, type Visibility } from './volumes.ts';

/** Changes what people call a snapshot. What is left out stays; `metadata` replaces all of it. May be repeated. */
export async function describeSnapshot(
  registry: Queries,
  snapshotId: string,
  change: { name?: string | null; description?: string | null; metadata?: Record<string, string> },
  visible: Visibility = {},
): Promise<Snapshot> {
  const [changed] = await registry.rows(
    snapshot,
    `UPDATE snapshots SET name = CASE WHEN $3 THEN $4 ELSE name END, description = CASE WHEN $5 THEN $6 ELSE description END,
       metadata = coalesce($7, metadata), updated_at = now()
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) RETURNING *`,
    [
      snapshotId,
      visible.tenantId ?? null,
      change.name !== undefined,
      change.name ?? null,
      change.description !== undefined,
      change.description ?? null,
      change.metadata ?? null,
    ],
  );
  if (!changed) throw snapshotNotFound(snapshotId);
  return changed;
}

/** Sets and removes keys of a snapshot's metadata, the others stay. May be repeated. */
export async function changeSnapshotMetadata(
  registry: Queries,
  snapshotId: string,
  change: { set?: Record<string, string>; unset?: readonly string[] },
  visible: Visibility = {},
): Promise<Snapshot> {
  const [changed] = await registry.rows(
    snapshot,
    `UPDATE snapshots SET metadata = (metadata || $3::jsonb) - $4::text[], updated_at = now()
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) RETURNING *`,
    [snapshotId, visible.tenantId ?? null, change.set ?? {}, [...(change.unset ?? [])]],
  );
  if (!changed) throw snapshotNotFound(snapshotId);
  return changed;
}

const resting: readonly string[] = ['available', 'error', 'error_deleting'];

export interface SnapshotReset extends Visibility {
  snapshotId: string;
  status: ShownSnapshotStatus;
  /** How far somebody says that it is, e.g. `80%`; null: nobody says; not given: as it is. */
  progress?: string | null | undefined;
  /** From which statuses only, as people are told them. */
  from?: readonly ShownSnapshotStatus[] | undefined;
}

/**
 * Sets a snapshot's status by hand, without a look at the device. One in which something would be under way is only shown. Refused while
 * something is being done to its volume (`VolumeMigrating`, `VolumeBusy`), and from other statuses than those given
 * (`VolumeStatusRefused`). May be repeated.
 */
export function resetSnapshot(registry: Registry, reset: SnapshotReset): Promise<Snapshot> {
  return registry.transaction(async (q) => {
    const { volumeId } = await findSnapshot(q, reset.snapshotId, reset);
    // What holds the volume holds its snapshots: it cannot begin before this has ended.
    await q.rows(snapshot.pick({ id: true }), 'SELECT id FROM volumes WHERE id = $1 FOR NO KEY UPDATE', [volumeId]);
    const volume = await findVolume(q, volumeId);
    const [claim] = await listClaims(q, { volumeId });
    const held = reasonHeld('reset-state', volume, claim?.phase ?? null);
    if (held) throw new FerryError(held.type, held.message, held.details);
    const found = await findSnapshot(q, reset.snapshotId, reset);
    const status = snapshotStatusOf(found);
    if (reset.from && !reset.from.includes(status))
      throw new FerryError(
        'VolumeStatusRefused',
        `Snapshot ${found.id} has status ${status}; it cannot become ${reset.status}.`,
        { snapshotId: found.id, status, wanted: reset.status },
      );
    const rests = resting.includes(reset.status);
    const [changed] = await q.rows(
      snapshot,
      `UPDATE snapshots SET status = CASE WHEN $3 THEN $2 ELSE status END, shown_status = CASE WHEN $3 THEN NULL ELSE $2 END,
         progress = CASE WHEN $5 THEN $4 ELSE progress END, updated_at = now()
       WHERE id = $1 RETURNING *`,
      [found.id, reset.status, rests, reset.progress ?? null, reset.progress !== undefined],
    );
    return changed!;
  });
}
