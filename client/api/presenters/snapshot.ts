import { snapshotStatusOf, type Snapshot } from '../../../model/snapshot.ts';
import { timeText } from '../times.ts';
import { sizeGib } from './volume.ts';

/** A snapshot as Cinder shows it. `extended`: with its project and progress, which lists without detail do not have. */
export function presentSnapshot(snapshot: Snapshot, { minor, extended }: { minor: number; extended: boolean }): object {
  const updated = snapshot.updatedAt;
  const status = snapshotStatusOf(snapshot);
  return {
    id: snapshot.id,
    created_at: timeText(snapshot.createdAt),
    updated_at: updated === null ? null : timeText(updated),
    name: snapshot.name,
    description: snapshot.description,
    volume_id: snapshot.volumeId,
    status,
    size: sizeGib(snapshot.sizeBytes),
    metadata: snapshot.metadata,
    ...(minor >= 14 && { group_snapshot_id: null }),
    ...(minor >= 41 && { user_id: snapshot.userId }),
    ...(minor >= 65 && { consumes_quota: true }),
    ...(extended && {
      'os-extended-snapshot-attributes:project_id': snapshot.tenantId,
      'os-extended-snapshot-attributes:progress': snapshot.progress ?? (status === 'available' ? '100%' : '0%'),
    }),
  };
}
