import type { DiskSource } from '../activities/compute/disk-source.ts';
import type { Connection } from '../model/connection.ts';

/** The connection as a hypervisor's disk. */
export function diskSource(connection: Connection): DiskSource {
  if (connection.protocol === 'local') return { kind: connection.kind, path: connection.path };
  const { host, port, exportName, tls } = connection;
  return { kind: 'nbd', address: { host, port, exportName, tls } };
}
