import * as z from 'zod';
import { volumeId } from './ids.ts';
import { sizeBytes } from './sizes.ts';

export const snapshotStatus = z.enum(['creating', 'available', 'deleting', 'error', 'error_deleting']);
export type SnapshotStatus = z.infer<typeof snapshotStatus>;

/** What a snapshot may be shown as: Ferry's statuses, and Cinder's for what Ferry does not do. */
export const shownSnapshotStatus = z.enum([...snapshotStatus.options, 'restoring', 'unmanaging', 'backing-up']);
export type ShownSnapshotStatus = z.infer<typeof shownSnapshotStatus>;

/** A snapshot's row in the registry. A volume that has one does not migrate, whatever the snapshot's status. */
export const snapshot = z.object({
  id: z.uuid(),
  volumeId,
  tenantId: z.string(),
  /** Who made it; null when nobody knows. */
  userId: z.string().nullable(),
  name: z.string().nullable(),
  description: z.string().nullable(),
  sizeBytes,
  status: snapshotStatus,
  /** What it was made to show, though nothing is under way: until the next operation begins, it stands for its status. */
  shownStatus: shownSnapshotStatus.nullable(),
  /** How far somebody says that it is, e.g. `80%`; null: nobody said. */
  progress: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  createdAt: z.date(),
  /** Null until something has changed. */
  updatedAt: z.date().nullable(),
});
export type Snapshot = z.infer<typeof snapshot>;

/** The status that people are told, and by which it is decided what may be done. */
export function snapshotStatusOf(of: Pick<Snapshot, 'status' | 'shownStatus'>): ShownSnapshotStatus {
  return of.shownStatus ?? of.status;
}
