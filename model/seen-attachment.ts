import * as z from 'zod';
import { tenantId, volumeId } from './ids.ts';

/** An attachment as the clients of Cinder's API see it, whoever made it. */
export const seenAttachment = z.object({
  id: z.uuid(),
  volumeId,
  tenantId,
  /** Null: attached to a host, or nobody has said to what. */
  instanceId: z.string().nullable(),
  /** Null until its connector was told. */
  host: z.string().nullable(),
  /** As the guest knows it: `/dev/vdb`. */
  device: z.string().nullable(),
  mode: z.enum(['rw', 'ro']),
  status: z.enum(['reserved', 'attaching', 'attached', 'detaching']),
  /** How its host reaches the volume; null while it cannot. */
  connection: z.record(z.string(), z.unknown()).nullable(),
  attachedAt: z.date().nullable(),
  /** Its client brings the disk into the guest and out of it; else Ferry does. */
  isClients: z.boolean(),
});
export type SeenAttachment = z.infer<typeof seenAttachment>;
