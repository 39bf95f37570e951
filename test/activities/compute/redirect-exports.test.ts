import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { createCutConnection } from '../../../activities/compute/cut-connection.ts';
import {
  createRedirectExports,
  type MovedExport,
  readSockets,
  redirectTable,
} from '../../../activities/compute/redirect-exports.ts';
import { runCommand } from '../../../activities/storage/run-command.ts';
import type { GuestDisk } from '../../../registry/guest-disks.ts';

const table = redirectTable({ name: 'hv1', libvirtUri: `test:///${randomBytes(6).toString('hex')}` });

for (const host of ['127.0.0.1', '::1'])
  describe(`a guest whose export has left ${host}`, () => {
    let stranger: Server;
    let right: Server;
    const sockets: Socket[] = [];
    // This process is the guest's QEMU.
    const redirect = createRedirectExports({ table, run: runCommand, findQemuProcess: async () => process.pid });

    beforeEach(async () => {
      [stranger, right] = await Promise.all([served(host), served(host)]);
    });
    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy();
      await redirect([], []);
      for (const server of [stranger, right]) server.close();
    });
    after(async () => assert.ok(!(await tables()).includes(table)));

    const disk = (): GuestDisk => ({
      attachmentId: '3e0a3c34-0000-4000-8000-000000000001',
      volumeId: '3e0a3c34-0000-4000-8000-000000000002',
      instanceId: 'vm-1',
      mode: 'rw',
      left: [],
      busy: false,
      connection: {
        protocol: 'nbd',
        host,
        port: portOf(right),
        exportName: 'volume-here',
        tls: false,
        backEnd: 'server1@one',
        device: 'volume-here',
      },
    });
    const moved = (): MovedExport => ({
      disk: disk(),
      guest: { name: 'vm-1', uuid: null },
      from: { host, port: portOf(stranger) },
    });
    const reached = async (): Promise<Server> => {
      const socket = connect({ host, port: portOf(stranger) });
      sockets.push(socket.on('error', () => undefined));
      return Promise.race([stranger, right].map((server) => once(server, 'connection').then(() => server)));
    };

    it('is sent to where that is now, for as long as it needs it', async () => {
      assert.equal(await reached(), stranger);
      const waiting = new Promise((resolve) => sockets[0]!.once('close', resolve));
      assert.deepEqual(
        (await redirect([moved()], [disk()])).map(({ problem }) => problem),
        [null],
      );
      await waiting;
      assert.equal(await reached(), right);
      await redirect([moved()], [disk()]);
      assert.ok(!sockets[1]!.closed, 'what is there already is not cut again');
      await redirect([], [disk()]);
      assert.equal(await reached(), stranger);
    });

    it('is told of, and nothing is turned, where the address is that of another export now', async () => {
      const other = disk();
      const there = { ...other, connection: { ...other.connection, port: portOf(stranger) } } as GuestDisk;
      const [{ problem } = { problem: null }] = await redirect([moved()], [disk(), there]);
      assert.match(String(problem), /another export of this hypervisor/);
      assert.equal(await reached(), stranger);
    });

    it('is told of, and nothing is turned, where another process uses what is there now', async () => {
      await reached();
      const others = createRedirectExports({ table, run: runCommand, findQemuProcess: async () => process.ppid });
      const [{ problem } = { problem: null }] = await others([moved()], [disk()]);
      assert.match(String(problem), /process \d+ uses what is at/);
      assert.ok(!(await tables()).includes(table));
    });
  });

for (const host of ['127.0.0.1', '::1'])
  it(`a connection to an export at ${host} that hangs is cut`, async () => {
    const server = await served(host);
    const socket = connect({ host, port: portOf(server) }).on('error', () => undefined);
    await once(server, 'connection');
    const address = { host, port: portOf(server), exportName: 'volume-here', tls: false };
    const over = new Promise((resolve) => socket.once('close', resolve));
    await createCutConnection(runCommand)({ kind: 'nbd', address });
    await over;
    server.close();
  });

it('reads what ss says', () => {
  const text = [
    'ESTAB    0 0   127.0.0.1:44824   127.0.0.1:10809 users:(("qemu-system-x86",pid=123,fd=45),("qemu-nbd",pid=7,fd=3))',
    'SYN-SENT 0 1       [::1]:50000       [::1]:10809',
    '',
  ].join('\n');
  assert.deepEqual(readSockets(text), [
    { own: '127.0.0.1:44824', peer: '127.0.0.1:10809', pids: [123, 7] },
    { own: '[::1]:50000', peer: '[::1]:10809', pids: [] },
  ]);
});

async function served(host: string): Promise<Server> {
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .resume()
      .unref(),
  ).listen(0, host);
  await once(server, 'listening');
  return server.unref();
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function tables(): Promise<string> {
  return (await runCommand(['nft', 'list', 'tables'])).stdout;
}
