import * as z from 'zod';
import { backEndName } from './ids.ts';

/** What serves an attached volume: the back end, and the device on it. */
const served = {
  backEnd: backEndName,
  device: z.string(),
  /** The UUID of the libvirt domain that has it, whatever it is called by now. Of attachments without a compute worker, and old ones, none. */
  domain: z.string().optional(),
};

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

/** Where a device is on its own node. */
export const devicePlace = z.object({ kind: z.enum(['block', 'file']), path: z.string() });
export type DevicePlace = z.infer<typeof devicePlace>;

/** Directly: the hypervisor is the volume's own node. */
const localConnection = devicePlace.extend({
  protocol: z.literal('local'),
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
  /** Its server tells the digests of what it reads, under the name beside it. */
  readonly digests?: boolean | undefined;
}

/** The connection as a hypervisor's disk. */
export function diskSource(connection: Connection): { kind: 'nbd'; address: ExportAddress } | DevicePlace {
  if (connection.protocol === 'local') return { kind: connection.kind, path: connection.path };
  const { host, port, exportName, tls } = connection;
  return { kind: 'nbd', address: { host, port, exportName, tls } };
}
