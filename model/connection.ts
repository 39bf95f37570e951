import * as z from 'zod';
import { backEndName } from './ids.ts';

/** What serves an attached volume: the back end, and the device on it. */
const served = { backEnd: backEndName, device: z.string() };

/** Over the network, from an export of the volume's storage node. */
export const nbdConnection = z.object({
  protocol: z.literal('nbd'),
  host: z.string(),
  port: z.number().int(),
  exportName: z.string(),
  tls: z.boolean(),
  ...served,
});
export type NbdConnection = z.infer<typeof nbdConnection>;

/** Directly: the hypervisor is the volume's own node. */
const localConnection = z.object({
  protocol: z.literal('local'),
  kind: z.enum(['block', 'file']),
  path: z.string(),
  ...served,
});

/** How a hypervisor reaches an attached volume. */
export const connection = z.discriminatedUnion('protocol', [nbdConnection, localConnection]);
export type Connection = z.infer<typeof connection>;

/** Where a device can be reached over NBD. */
export interface ExportAddress {
  readonly host: string;
  readonly port: number;
  readonly exportName: string;
  /** TLS is required: the address is not loopback, or certificates are configured. */
  readonly tls: boolean;
}
