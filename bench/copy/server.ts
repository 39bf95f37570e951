import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { SourceExport } from '../../activities/storage/copy-job.ts';
import { readerCommand } from '../../activities/storage/exports/server-command.ts';

/** What a source is served by: QEMU's server, as the usual tools know it, or Ferry's own, as a storage node does. */
export type ServerKind = 'qemu-nbd' | 'own';

export interface Served {
  readonly address: SourceExport;
  readonly pid: number;
}

/** Serves `file` over TCP while `work` runs. */
export async function whileServed(
  kind: ServerKind,
  file: string,
  work: (served: Served) => Promise<void>,
): Promise<void> {
  const port = await freePort();
  const address = { host: '127.0.0.1', port, exportName: 'volume', tls: false, holes: true, digests: kind === 'own' };
  const [program, ...args] =
    kind === 'own'
      ? readerCommand(path.dirname(file), {
          ...address,
          address: address.host,
          path: file,
          tlsDirectory: null,
          peers: null,
        })
      : qemuCommand(port, file);
  const server = execa(program, args, { reject: false, env: { UV_THREADPOOL_SIZE: '8' } });
  try {
    await untilServed(port, server);
    await work({ address, pid: server.pid! });
  } finally {
    server.kill('SIGKILL');
    await server;
  }
}

function qemuCommand(port: number, file: string): [string, ...string[]] {
  const common = ['--format=raw', '--read-only', '--persistent', '--shared=8', '--cache=none', '--aio=io_uring'];
  return ['qemu-nbd', ...common, '--bind=127.0.0.1', `--port=${port}`, '--export-name=volume', file];
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilServed(port: number, server: PromiseLike<{ stderr: string }>): Promise<void> {
  let ended: { stderr: string } | null = null;
  void server.then((result) => {
    ended = result;
  });
  for (;;) {
    const socket = net.connect({ host: '127.0.0.1', port });
    const greeted = await new Promise((resolve) => {
      socket.once('data', () => resolve(true));
      for (const end of ['error', 'close']) socket.once(end, () => resolve(false));
    });
    socket.destroy();
    if (greeted) return;
    if (ended) throw new Error(`the server ended: ${(ended as { stderr: string }).stderr}`);
    await sleep(20);
  }
}
