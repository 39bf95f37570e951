import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** What a server is told with its arguments, and can be asked about by them for as long as it runs. */
export interface ServerSettings {
  readonly exportName: string;
  readonly path: string;
  readonly writable: boolean;
  readonly address: string;
  readonly port: number;
  /** Folder with ca-cert.pem, server-cert.pem and server-key.pem; null is no TLS. */
  readonly tlsDirectory: string | null;
}

export type Aio = 'io_uring' | 'threads';

/** As many readers as a migration may ever need at once: the copier's connections and a second look at the source. */
const readers = 8;

/** QEMU's options are a comma-separated list; a comma in a value is doubled. */
const optionValue = (text: string) => text.replaceAll(',', ',,');

/** The file by which a server is known as one of this folder's: it holds a lock on it, so there is one a name. */
export function pidFile(folder: string, exportName: string): string {
  return join(folder, `${exportName}.pid`);
}

/** The command of a server that goes into the background once it listens. */
export function serverCommand(folder: string, settings: ServerSettings, aio: Aio): [string, ...string[]] {
  const { exportName, path, writable, address, port, tlsDirectory } = settings;
  return [
    'qemu-nbd',
    '--fork',
    '--persistent',
    '--format=raw',
    '--cache=none',
    `--aio=${aio}`,
    // One client only: the fence against two writers.
    ...(writable ? ['--discard=unmap', '--shared=1'] : ['--read-only', `--shared=${readers}`]),
    ...(tlsDirectory === null
      ? []
      : [
          `--object=tls-creds-x509,id=tls,dir=${optionValue(tlsDirectory)},endpoint=server,verify-peer=on`,
          '--tls-creds=tls',
        ]),
    `--export-name=${exportName}`,
    `--bind=${address}`,
    `--port=${port}`,
    `--pid-file=${pidFile(folder, exportName)}`,
    '--',
    path,
  ];
}

/** What the server with this command line serves; null when it is none of this folder's. */
export function parseServerCommand(folder: string, argv: readonly string[]): ServerSettings | null {
  const { values, positionals } = parseArgs({
    args: argv.slice(1),
    strict: false,
    allowPositionals: true,
    options: {
      'export-name': { type: 'string' },
      'pid-file': { type: 'string' },
      bind: { type: 'string' },
      port: { type: 'string' },
      'read-only': { type: 'boolean' },
      object: { type: 'string' },
    },
  });
  const { 'export-name': exportName, 'pid-file': file, bind, port, object } = values;
  const [path] = positionals;
  if (typeof exportName !== 'string' || typeof bind !== 'string' || path === undefined) return null;
  if (file !== pidFile(folder, exportName)) return null;
  const dir = typeof object === 'string' ? /,dir=((?:[^,]|,,)*)/.exec(object)?.[1] : undefined;
  return {
    exportName,
    path,
    writable: values['read-only'] !== true,
    address: bind,
    port: Number(port),
    tlsDirectory: dir?.replaceAll(',,', ',') ?? null,
  };
}
