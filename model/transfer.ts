import * as z from 'zod';
import { tenantId, volumeId } from './ids.ts';

/** An offer of a volume to whoever knows its key. */
export const volumeTransfer = z.object({
  id: z.uuid(),
  volumeId,
  /** The tenant that gives it away. */
  tenantId,
  name: z.string().nullable(),
  /** The volume's snapshots stay with that tenant. */
  noSnapshots: z.boolean(),
  keySalt: z.string(),
  keyHash: z.string(),
  createdAt: z.date(),
});
export type VolumeTransfer = z.infer<typeof volumeTransfer>;
