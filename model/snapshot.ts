import * as z from 'zod';
import { volumeId } from './ids.ts';
import { sizeBytes } from './sizes.ts';

/** A snapshot's row in the registry. A volume that has one does not migrate, whatever the snapshot's status. */
export const snapshot = z.object({
  id: z.uuid(),
  volumeId,
  tenantId: z.string(),
  name: z.string().nullable(),
  description: z.string().nullable(),
  sizeBytes,
  status: z.enum(['creating', 'available', 'deleting', 'error', 'error_deleting']),
  createdAt: z.date(),
});
export type Snapshot = z.infer<typeof snapshot>;
