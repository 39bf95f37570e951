import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdtempDisposable, rm, truncate, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createQemuNbdExports } from '../../../../activities/storage/exports/create-qemu-nbd-exports.ts';
import { createCutSilent } from '../../../../activities/storage/exports/silent-clients.ts';
import type { ExportAddress, Exports } from '../../../../activities/storage/exports.ts';
import { runCommand } from '../../../../activities/storage/run-command.ts';
import { makeCertificates } from '../../../../testbed/certificates.ts';

const ports = { from: 11_900, to: 11_930 };

for (const address of ['127.0.0.1', '::1'])
  describe(`an export at ${address}, in front of which somebody is silent`, () => {
    let folder: string;
    let exports: Exports;
    let served: ExportAddress;
    const ends: (() => unknown)[] = [];

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'ferry-silent-'));
      const options = { stateDirectory: join(folder, 'state'), address, ports, tls: null, insecureNetwork: true };
      exports = createQemuNbdExports({ ...options, run: runCommand });
      const path = join(folder, 'volume');
      await writeFile(path, '');
      await truncate(path, 2 ** 20);
      served = await exports.ensure({ exportName: 'volume', path, writable: true, tags: [] });
    });
    afterEach(() => {
      for (const end of ends.splice(0)) end();
    });
    after(async () => {
      await exports.remove('volume');
      await rm(folder, { recursive: true });
    });

    const silent = (): Socket => {
      const socket = connect({ host: address, port: served.port });
      socket.on('error', () => undefined);
      ends.push(() => socket.destroy());
      return socket;
    };
    /** As a storage worker does, for that long. */
    const tended = async (ms: number, over = new AbortController().signal) => {
      const cutSilent = createCutSilent(ports, runCommand);
      const cut: string[] = [];
      for (const deadline = Date.now() + ms; Date.now() < deadline && !over.aborted; await sleep(500))
        cut.push(...(await cutSilent()));
      return cut;
    };
    /** What a guest's QEMU does. */
    const guest = () => {
      const host = address.includes(':') ? `[${address}]` : address;
      const qemu = spawn('qemu-io', ['-f', 'raw', `nbd://${host}:${served.port}/volume`]);
      ends.push(() => qemu.kill('SIGKILL'));
      let said = '';
      qemu.stdout.on('data', (text) => (said += String(text)));
      qemu.stdin.on('error', () => undefined);
      /** Whether it can read. Milliseconds. */
      return async (withinMs: number) => {
        said = '';
        qemu.stdin.write('read 0 4k\n');
        for (const deadline = Date.now() + withinMs; !said.includes('read 4096/4096'); await sleep(50))
          if (Date.now() > deadline || qemu.exitCode !== null) return (qemu.kill('SIGKILL'), false);
        return true;
      };
    };

    test('lets its guest in, be there twelve of them', async (t) => {
      // One has the place, and nine may wait: the others have not even a connection, and come when these are cut.
      for (let n = 0; n < 12; n += 1) silent();
      const over = new AbortController();
      const tending = tended(60_000, over.signal);
      // One that came while many were there was cut with them, and comes again.
      const began = Date.now();
      for (let isIn = false; !isIn;) isIn = await guest()(3_000);
      t.diagnostic(`after ${Date.now() - began} ms`);
      over.abort();
      // Those that had the place, or were many in front of it; those that are left only wait.
      assert.ok((await tending).length > 0);
    });

    test('keeps the guest that it has, which says nothing for a while, and who waits for its place', async () => {
      const read = guest();
      assert.ok(await read(5_000));
      const waits = silent();
      assert.deepEqual(await tended(6_000), []);
      assert.ok(await read(5_000));
      assert.equal(waits.destroyed, false);
    });
  });

test('who stops in the middle of TLS is cut by the server itself', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'ferry-silent-'));
  const { directory } = await makeCertificates(join(folder.path, 'pki'));
  const options = { stateDirectory: join(folder.path, 'state'), address: '127.0.0.1', ports, insecureNetwork: false };
  const exports = createQemuNbdExports({ ...options, tls: { directory }, run: runCommand });
  const path = join(folder.path, 'volume');
  await writeFile(path, '');
  await truncate(path, 2 ** 20);
  const { port } = await exports.ensure({ exportName: 'volume', path, writable: true, tags: [] });
  try {
    const socket = connect({ host: '127.0.0.1', port });
    const ended = once(socket, 'close');
    socket.on('error', () => undefined);
    await once(socket, 'data'); // It greets.
    const began = Date.now();
    socket.write(startTls);
    await once(socket, 'data'); // It agrees.
    socket.write(halfAHello);
    await ended;
    t.diagnostic(`after ${Date.now() - began} ms`);
  } finally {
    await exports.remove('volume');
  }
});

/** A client's flags, and the option by which it asks for TLS: docs/proto.md of NBD. */
const startTls = Buffer.concat([
  Buffer.from([0, 0, 0, 3]),
  Buffer.from('IHAVEOPT'),
  Buffer.from([0, 0, 0, 5, 0, 0, 0, 0]),
]);

/** A TLS record of 16 KiB, of which no more than a little comes. */
const halfAHello = Buffer.concat([Buffer.from([0x16, 3, 1, 0x40, 0]), Buffer.alloc(500, 1)]);
