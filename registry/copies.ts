import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import type { Queries } from './open-registry.ts';

/** A new volume that is being copied from that one; null: none is. */
export async function copyUnderWay(q: Queries, volumeId: string): Promise<string | null> {
  const [found] = await q.rows(
    z.object({ id: z.uuid() }),
    `SELECT id FROM volumes WHERE source_volume_id = $1 AND operation = 'create' ORDER BY id LIMIT 1`,
    [volumeId],
  );
  return found?.id ?? null;
}

/** Throws `VolumeBusy` while a new volume is being copied from that snapshot, or from any of that volume. */
export async function refuseIfSnapshotCopied(
  q: Queries,
  of: { snapshotId: string } | { volumeId: string },
): Promise<void> {
  const [found] = await q.rows(
    z.object({ id: z.uuid(), snapshotId: z.uuid() }),
    `SELECT c.id, c.snapshot_id FROM volumes c JOIN snapshots s ON s.id = c.snapshot_id
     WHERE c.operation = 'create' AND (s.id = $1 OR s.volume_id = $2) ORDER BY c.id LIMIT 1`,
    'snapshotId' in of ? [of.snapshotId, null] : [null, of.volumeId],
  );
  if (!found) return;
  throw new FerryError(
    'VolumeBusy',
    `Snapshot ${found.snapshotId} is busy: volume ${found.id} is being copied from it. Try again when that is available.`,
    { snapshotId: found.snapshotId, copy: found.id },
  );
}
