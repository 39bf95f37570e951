import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { ExportAddress } from '../../activities/storage/exports.ts';

/** Serves `file` over TCP, as a storage node does, while `work` runs. */
export async function whileServed(
  file: string,
  work: (address: ExportAddress, pid: number) => Promise<void>,
): Promise<void> {
  const port = await freePort();
  const address: ExportAddress = { host: '127.0.0.1', port, exportName: 'volume', tls: false };
  const common = ['--format=raw', '--read-only', '--persistent', '--shared=8', '--cache=none', '--aio=io_uring'];
  const server = execa('qemu-nbd', [...common, '--bind=127.0.0.1', `--port=${port}`, '--export-name=volume', file], {
    reject: false,
  });
  try {
    await untilServed(port, server);
    await work(address, server.pid!);
  } finally {
    server.kill('SIGKILL');
    await server;
  }
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
    if (ended) throw new Error(`qemu-nbd ended: ${(ended as { stderr: string }).stderr}`);
    await sleep(20);
  }
}
