import * as z from 'zod';
import { backEndName, volumeId } from './ids.ts';
import { sizeBytes } from './sizes.ts';

/**
 * What a new volume's bytes are copied from: the device of a volume that nobody has (`generation` and `identity` are its device's), or that
 * of one of its snapshots. `volumeId`: of the volume, or of the snapshot's.
 */
export const origin = z.object({
  kind: z.enum(['volume', 'snapshot']),
  volumeId,
  snapshotId: z.uuid().nullable(),
  backEnd: backEndName,
  deviceName: z.string(),
  sizeBytes,
  generation: z.number().int().nonnegative(),
  identity: z.string().nullable(),
});
export type Origin = z.infer<typeof origin>;

/** The name under which the node of the origin lets another node read it for that new volume. */
export function copyExportName(newVolumeId: string): string {
  return `copy-${newVolumeId}`;
}
