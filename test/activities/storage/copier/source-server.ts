import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { execa } from 'execa';
import type { SourceExport } from '../../../../activities/storage/copy-job.ts';
import { readerCommand } from '../../../../activities/storage/exports/server-command.ts';
import { cleanUp } from './cleanup.ts';
import { scratchFolder } from './volumes.ts';

/** An export of a test's own, which ends with the test. */
export interface SourceServer {
  readonly address: SourceExport;
  kill(signal: NodeJS.Signals): void;
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether the server greets: the kernel accepts connections before it does. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('data', () => resolve(true));
    for (const end of ['error', 'close']) socket.once(end, () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}

async function serve(t: TestContext, port: number, argv: readonly string[], tls: boolean): Promise<SourceServer> {
  const [program, ...args] = argv;
  const server = execa(program!, args, { env: { LC_ALL: 'C' }, stdin: 'ignore', reject: false });
  let ended = false;
  const end = server.then((result) => {
    ended = true;
    return result;
  });
  cleanUp(t, async () => {
    server.kill('SIGKILL');
    await end;
  });
  while (!(await greets(port))) {
    if (ended) throw new Error(`${program} ended: ${(await end).stderr}`);
    await sleep(20);
  }
  return {
    address: { host: '127.0.0.1', port, exportName: 'volume', tls, holes: true },
    kill: (signal) => void server.kill(signal),
  };
}

/** As a storage node serves its source. */
export async function ownServer(
  t: TestContext,
  path: string,
  tlsDirectory: string | null = null,
): Promise<SourceServer> {
  const port = await freePort();
  const settings = { exportName: 'volume', path, address: '127.0.0.1', port, tlsDirectory, peers: null };
  const folder = await scratchFolder(t);
  const server = await serve(t, port, readerCommand(folder, settings), tlsDirectory !== null);
  return { ...server, address: { ...server.address, digests: true } };
}

export interface QemuNbdOptions {
  readonly tlsDirectory?: string;
  /** In place of a plain file: a QEMU block device, e.g. with faults. */
  readonly imageOptions?: string;
}

export async function qemuNbd(
  t: TestContext,
  path: string,
  { tlsDirectory, imageOptions }: QemuNbdOptions = {},
): Promise<SourceServer> {
  const port = await freePort();
  const tls = tlsDirectory
    ? ['--object', `tls-creds-x509,id=tls0,endpoint=server,verify-peer=yes,dir=${tlsDirectory}`, '--tls-creds', 'tls0']
    : [];
  const image = imageOptions
    ? ['--image-opts', imageOptions]
    : ['--format=raw', '--cache=none', '--aio=io_uring', path];
  const common = [
    '--read-only',
    '--persistent',
    '--shared=8',
    '--bind=127.0.0.1',
    `--port=${port}`,
    '--export-name=volume',
  ];
  return serve(t, port, ['qemu-nbd', ...common, ...tls, ...image], tlsDirectory !== undefined);
}

/** nbdkit serves every export name alike; its filters delay and break. */
export async function nbdkit(
  t: TestContext,
  path: string,
  filters: readonly string[] = [],
  settings: readonly string[] = [],
): Promise<SourceServer> {
  const port = await freePort();
  const common = ['--foreground', '--exit-with-parent', '--readonly', '--ipaddr=127.0.0.1', `--port=${port}`];
  const filtered = filters.map((filter) => `--filter=${filter}`);
  return serve(t, port, ['nbdkit', ...common, ...filtered, 'file', path, ...settings], false);
}
