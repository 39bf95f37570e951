import * as z from 'zod';
import { backEndName } from './ids.ts';

/** How a hypervisor reaches an attached volume. */
export const connection = z.object({
  protocol: z.literal('nbd'),
  host: z.string(),
  port: z.number().int(),
  exportName: z.string(),
  tls: z.boolean(),
  /** What serves it: the back end, and the device on it. */
  backEnd: backEndName,
  device: z.string(),
});
export type Connection = z.infer<typeof connection>;
