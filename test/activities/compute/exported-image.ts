import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiskSource } from '../../../activities/compute/disk-source.ts';

/** An image file with a real NBD server of its own, which takes one client, as a node's export of a volume does. */
export class ExportedImage {
  readonly path: string;
  readonly exportName: string;
  readonly #port: number;
  readonly #tlsFolder: string | null;
  #server: ChildProcess | null = null;

  private constructor(path: string, exportName: string, port: number, tlsFolder: string | null) {
    this.path = path;
    this.exportName = exportName;
    this.#port = port;
    this.#tlsFolder = tlsFolder;
  }

  /** Makes the image, all zeros, and serves it. */
  static async create(spec: {
    path: string;
    exportName: string;
    sizeBytes: number;
    tlsFolder?: string;
  }): Promise<ExportedImage> {
    const file = await open(spec.path, 'wx');
    await file.truncate(spec.sizeBytes);
    await file.close();
    const image = new ExportedImage(spec.path, spec.exportName, await freePort(), spec.tlsFolder ?? null);
    await image.serve();
    return image;
  }

  get source(): DiskSource {
    const address = { host: '127.0.0.1', port: this.#port, exportName: this.exportName, tls: this.#tlsFolder !== null };
    return { kind: 'nbd', address };
  }

  /** Starts the server, at the same address as before. */
  async serve(): Promise<void> {
    const tls = this.#tlsFolder
      ? [
          '--object',
          `tls-creds-x509,id=tls,dir=${this.#tlsFolder},endpoint=server,verify-peer=yes`,
          '--tls-creds',
          'tls',
        ]
      : [];
    const server = spawn(
      'qemu-nbd',
      [
        '-f',
        'raw',
        '-t',
        '-e',
        '1',
        '-x',
        this.exportName,
        '-b',
        '127.0.0.1',
        '-p',
        String(this.#port),
        '--cache=none',
        '--discard=unmap',
        ...tls,
        this.path,
      ],
      { stdio: 'ignore' },
    );
    this.#server = server;
    for (let tries = 0; !(await listens(this.#port)); tries += 1) {
      if (server.exitCode !== null || tries > 200) throw new Error(`qemu-nbd does not serve ${this.path}`);
      await sleep(50);
    }
  }

  /** Its machine dies. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  /** Its machine hangs, until `kill` or `goOn`. */
  hang(): void {
    this.#server?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#server?.kill('SIGCONT');
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
