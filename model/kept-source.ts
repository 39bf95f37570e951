import * as z from 'zod';
import { backEndName, volumeId } from './ids.ts';

/** A device that a volume has left, and that is kept for a while so that the migration can be undone. */
export const keptSource = z.object({
  /** The migration that left it. */
  migrationId: z.uuid(),
  volumeId,
  backEnd: backEndName,
  /** As the volume's `nameId` was there. */
  nameId: z.uuid().nullable(),
  /** Of its device; null for one from before identities were known. */
  identity: z.string().nullable(),
  generation: z.number().int().nonnegative(),
  sizeBytes: z.number().int().positive(),
  keptAt: z.date(),
  keptUntil: z.date(),
  /** Since when it is being deleted: nobody goes back to it any more. */
  removingAt: z.date().nullable(),
});
export type KeptSource = z.infer<typeof keptSource>;

/** Which device of which migration: what its removal needs to know. */
export interface KeptDevice {
  migrationId: string;
  volumeId: string;
  backEnd: string;
  deviceName: string;
  /** Absent: not known. */
  identity?: string | null;
}

/** How long a source may be kept at most: a year. Seconds. */
export const longestKeptSeconds = 365 * 86_400;

export const keepSourceSeconds = z
  .number()
  .int()
  .positive()
  .max(longestKeptSeconds, 'is too long to keep a source (365d at most)');
