import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execa } from 'execa';
import type { QemuNbdExportsOptions } from '../../../../activities/storage/exports/create-qemu-nbd-exports.ts';
import {
  parseServerCommand,
  readerCommand,
  serverCommand,
  type ServerSettings,
} from '../../../../activities/storage/exports/server-command.ts';
import {
  endExports,
  type ExportAddress,
  type Exports,
  writersThrough,
} from '../../../../activities/storage/exports.ts';
import { runCommand, toolFailed } from '../../../../activities/storage/run-command.ts';
import { makeCertificates, makeClientFolder } from '../../../../testbed/certificates.ts';
import { freePort } from '../copier/source-server.ts';
import { refuses } from '../driver-conformance.ts';
import { loopbackExports } from './loopback-exports.ts';

const mib = 1024 ** 2;
let folder: string;
let ports: { from: number; to: number };
let disk: string;

const exportsOf = (changes: Partial<QemuNbdExportsOptions> = {}) =>
  loopbackExports({ stateDirectory: join(folder, 'state'), ports, ...changes });
const writersOf = async (exports: Exports, path: string, but?: string) =>
  writersThrough(
    (await exports.list()).filter((each) => each.path === path),
    exports,
    but,
  );
const readOnly = () => ({ exportName: 'migration-1', path: disk, writable: false, tags: ['ferry.migration=a1'] });
const writable = () => ({ ...readOnly(), writable: true });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-exports-'));
  disk = join(folder, 'disk');
  await writeFile(disk, '');
  await truncate(disk, 32 * mib);
  const from = await freePort();
  ports = { from, to: from + 20 };
});
afterEach(async () => {
  for (const { exportName } of await exportsOf().list()) await exportsOf().remove(exportName);
});
after(() => rm(folder, { recursive: true }));

/** The size that a client sees, by a whole NBD handshake. */
async function sizeSeen({ port, exportName }: ExportAddress): Promise<number> {
  return Number((await execa('nbdinfo', ['--size', `nbd://127.0.0.1:${port}/${exportName}`])).stdout);
}
async function pidOf(exportName = 'migration-1'): Promise<number> {
  const found = (await exportsOf().list()).find((e) => e.exportName === exportName);
  assert.ok(found, `${exportName} is exported`);
  return found.pid;
}
/** A dead process whose parent has not noticed yet is not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
async function killHard(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  while (isAlive(pid)) await sleep(10);
}

describe('exports by qemu-nbd', () => {
  test('an export with a client is not ended for somebody else’s sake, and its client is told', async () => {
    const exports = exportsOf();
    const { port, exportName } = await exports.ensure(writable());
    assert.deepEqual(await exports.clients(exportName), []);
    assert.match((await writersOf(exports, disk)).join(), /the writable export migration-1, to which nobody/);
    const client = spawn('qemu-io', ['-f', 'raw', `nbd://127.0.0.1:${port}/${exportName}`], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    try {
      client.stdin.write('write -f 0 4k\n');
      await once(client.stdout, 'data');
      const [who] = await exports.clients(exportName);
      assert.match(who ?? '', /^127\.0\.0\.1:\d+$/);
      await refuses(endExports(exports, disk), 'VolumeInUse');
      await refuses(endExports(exports, disk, 'another'), 'VolumeInUse');
      await endExports(exports, disk, exportName);
      await endExports(exports, join(folder, 'another-disk'));
      assert.deepEqual(await writersOf(exports, disk), [`${who}, connected to the export migration-1`]);
      assert.deepEqual(await writersOf(exports, disk, exportName), []);
    } finally {
      client.kill('SIGKILL');
      await once(client, 'exit');
    }
    await endExports(exports, disk);
    assert.deepEqual(await exports.list(), []);
  });

  test('a client on IPv6 is told as well', async () => {
    const exports = exportsOf({ address: '::1' });
    const { port, exportName } = await exports.ensure(readOnly());
    const client = connect({ host: '::1', port });
    try {
      await once(client, 'data');
      assert.match((await exports.clients(exportName)).join(), /^\[0:0:0:0:0:0:0:1\]:\d+$/);
      assert.deepEqual(await writersOf(exports, disk), [], 'it cannot write');
    } finally {
      client.destroy();
    }
  });

  test('a device is exported under its name, with its size', async () => {
    const address = await exportsOf().ensure(readOnly());
    assert.deepEqual(address, {
      host: '127.0.0.1',
      port: address.port,
      exportName: 'migration-1',
      tls: false,
      digests: true,
    });
    assert.ok(address.port >= ports.from && address.port <= ports.to);
    assert.equal(await sizeSeen(address), 32 * mib);
    await assert.rejects(sizeSeen({ ...address, exportName: 'another' }));
    assert.deepEqual(await exportsOf().list(), [{ ...readOnly(), pid: await pidOf(), address }]);
  });

  test('a read-only export takes no write, a writable one does', async () => {
    const write = ({ port }: ExportAddress) =>
      execa('qemu-io', ['-f', 'raw', '-c', 'write -P 7 0 4096', `nbd://127.0.0.1:${port}/migration-1`]);
    await assert.rejects(write(await exportsOf().ensure(readOnly())));
    await write(await exportsOf().ensure(writable()));
    assert.deepEqual((await readFile(disk)).subarray(0, 4096), Buffer.alloc(4096, 7));
  });

  test('several clients read at once', async () => {
    const { port } = await exportsOf().ensure(readOnly());
    const clients = await Promise.all(Array.from({ length: 8 }, () => greeted(port)));
    for (const client of clients) client.destroy();
  });

  test('a second client of a writable export does not get in', async () => {
    const { port } = await exportsOf().ensure(writable());
    const first = await greeted(port);
    let inside = false;
    const second = greeted(port).then((socket) => {
      inside = true;
      return socket;
    });
    await sleep(300);
    assert.equal(inside, false);
    first.destroy();
    (await second).destroy();
  });

  test('a repeated ensure answers the same and does not take the one client’s place', async () => {
    const address = await exportsOf().ensure(writable());
    const pid = await pidOf();
    const client = await greeted(address.port);
    assert.deepEqual(await exportsOf().ensure({ ...writable(), tags: ['ferry.volume=v1'] }), address);
    assert.equal(await pidOf(), pid);
    assert.deepEqual((await exportsOf().list())[0]?.tags, ['ferry.volume=v1']);
    assert.equal(client.closed, false);
    client.destroy();
  });

  test('two ensures at once start one server', async () => {
    const [a, b, c] = await Promise.all([
      exportsOf().ensure(readOnly()),
      exportsOf().ensure(readOnly()),
      exportsOf().ensure(readOnly()),
    ]);
    assert.deepEqual([a, a], [b, c]);
    assert.equal((await exportsOf().list()).length, 1);
  });

  test('exports of several names at once get ports of their own', async () => {
    const names = ['migration-1', 'volume-2', 'volume-3', 'volume-4'];
    const addresses = await Promise.all(names.map((exportName) => exportsOf().ensure({ ...readOnly(), exportName })));
    assert.equal(new Set(addresses.map(({ port }) => port)).size, names.length);
    assert.deepEqual(
      await Promise.all(addresses.map(sizeSeen)),
      names.map(() => 32 * mib),
    );
    await Promise.all(names.map((name) => exportsOf().remove(name)));
    assert.deepEqual(await exportsOf().list(), []);
  });

  test('an export outlives the worker that made it, and the next worker finds it', async () => {
    const worker = fork(
      join(import.meta.dirname, 'export-and-exit.ts'),
      [join(folder, 'state'), disk, String(ports.from)],
      {
        execArgv: ['--disable-warning=ExperimentalWarning'],
        detached: true,
      },
    );
    const [address] = (await once(worker, 'message')) as [ExportAddress];
    const pid = await pidOf();
    // All of the worker's process group, as a terminal or a supervisor would do it.
    process.kill(-worker.pid!, 'SIGKILL');
    await once(worker, 'exit');
    assert.equal(await sizeSeen(address), 32 * mib);
    assert.deepEqual(await exportsOf().ensure(readOnly()), address);
    assert.equal(await pidOf(), pid);
    assert.deepEqual((await exportsOf().list())[0]?.tags, ['ferry.migration=a1']);
  });

  test('a server that was killed is replaced', async () => {
    await exportsOf().ensure(readOnly());
    const pid = await pidOf();
    await killHard(pid);
    assert.deepEqual(await exportsOf().list(), []);
    const address = await exportsOf().ensure(readOnly());
    assert.notEqual(await pidOf(), pid);
    assert.equal(await sizeSeen(address), 32 * mib);
  });

  test('a server of another path, mode or address is replaced', async () => {
    const other = join(folder, 'other');
    await writeFile(other, '');
    await truncate(other, 16 * mib);
    let before = -1;
    for (const spec of [readOnly(), writable(), { ...writable(), path: other }, { ...readOnly(), path: other }]) {
      const address = await exportsOf().ensure(spec);
      assert.equal(await sizeSeen(address), (await stat(spec.path)).size);
      assert.notEqual(await pidOf(), before);
      if (before !== -1) assert.equal(isAlive(before), false);
      before = await pidOf();
    }
    await exportsOf({ address: '127.0.0.2' }).ensure({ ...readOnly(), path: other });
    assert.equal(isAlive(before), false);
    assert.equal((await exportsOf().list()).length, 1);
  });

  test('a server of another address, mode or path is not replaced while somebody is connected to it', async () => {
    const other = join(folder, 'other-2');
    await writeFile(other, '');
    await truncate(other, 16 * mib);
    const { port } = await exportsOf().ensure(writable());
    const pid = await pidOf();
    const client = await greeted(port);
    for (const replace of [
      () => exportsOf({ address: '127.0.0.2' }).ensure(writable()),
      () => exportsOf().ensure(readOnly()),
      () => exportsOf().ensure({ ...writable(), path: other }),
    ]) {
      await refuses(replace(), 'VolumeInUse');
      assert.deepEqual([isAlive(pid), client.closed], [true, false]);
    }
    client.destroy();
    for (let tries = 0; (await exportsOf().clients('migration-1')).length > 0; tries += 1) {
      assert.ok(tries < 100, 'it is connected still');
      await sleep(50);
    }
    await exportsOf({ address: '127.0.0.2' }).ensure(writable());
    assert.equal(isAlive(pid), false);
  });

  test('remove ends the server, also with a client on it, and leaves nothing', async () => {
    const { port } = await exportsOf().ensure(writable());
    const pid = await pidOf();
    const client = await greeted(port);
    const closed = once(client, 'close');
    await exportsOf().remove('migration-1');
    assert.equal(isAlive(pid), false);
    await closed;
    assert.deepEqual(await leftovers(), []);
    await exportsOf().remove('migration-1');
    await exportsOf().remove('never-exported');
  });

  test('a server that does not answer TERM is killed', async () => {
    await exportsOf().ensure(readOnly());
    const pid = await pidOf();
    process.kill(pid, 'SIGSTOP');
    await exportsOf().remove('migration-1');
    assert.equal(isAlive(pid), false);
  });

  test('a server whose record and pid file were lost is found all the same', async () => {
    const address = await exportsOf().ensure(readOnly());
    const pid = await pidOf();
    await rm(join(folder, 'state'), { recursive: true });
    assert.deepEqual(
      (await exportsOf().list()).map((e) => [e.pid, e.tags]),
      [[pid, []]],
    );
    assert.deepEqual(await exportsOf().ensure(readOnly()), address);
    assert.deepEqual(
      (await exportsOf().list()).map((e) => [e.pid, e.tags]),
      [[pid, ['ferry.migration=a1']]],
    );
    await rm(join(folder, 'state'), { recursive: true });
    await exportsOf().remove('migration-1');
    assert.equal(isAlive(pid), false);
  });

  test('each server’s pid file names it, for who ends what a node has left', async () => {
    await exportsOf().ensure(readOnly());
    await exportsOf().ensure({ ...writable(), exportName: 'attachment-1' });
    for (const name of ['migration-1', 'attachment-1']) {
      const pidFile = join(folder, 'state', 'exports', `${name}.pid`);
      assert.equal(Number(readFileSync(pidFile, 'utf8')), await pidOf(name));
      await exportsOf().remove(name);
      assert.equal(existsSync(pidFile), false);
    }
  });

  test('a process that got the pid of a dead server is left alone', async () => {
    await exportsOf().ensure(readOnly());
    await killHard(await pidOf());
    const stranger = spawn('sleep', ['infinity'], { stdio: 'ignore' });
    try {
      const pidFile = join(folder, 'state', 'exports', 'migration-1.pid');
      await writeFile(pidFile, `${stranger.pid}\n`);
      assert.deepEqual(await exportsOf().list(), []);
      await exportsOf().ensure(readOnly());
      await exportsOf().remove('migration-1');
      await writeFile(pidFile, `${stranger.pid}\n`);
      await exportsOf().remove('migration-1');
      assert.equal(isAlive(stranger.pid!), true);
      assert.equal(stranger.signalCode, null);
    } finally {
      stranger.kill('SIGKILL');
      await once(stranger, 'exit');
    }
  });

  test('exports of another state folder are not ours', async () => {
    const others = exportsOf({ stateDirectory: join(folder, 'state-of-another') });
    await others.ensure(readOnly());
    try {
      assert.deepEqual(await exportsOf().list(), []);
      await exportsOf().remove('migration-1');
      assert.equal((await others.list()).length, 1);
    } finally {
      await others.remove('migration-1');
    }
  });

  test('ports that others listen on are passed over', async () => {
    const { other, port: from } = await listener();
    try {
      assert.notEqual((await exportsOf({ ports: { from, to: from + 20 } }).ensure(readOnly())).port, from);
    } finally {
      other.close();
    }
  });

  test('the port of an export whose server is dead stays its own, as long as there is another one', async () => {
    const exports = exportsOf();
    const { port } = await exports.ensure(readOnly());
    const { pid } = (await exports.list())[0]!;
    process.kill(pid, 'SIGKILL');
    while ((await exports.list()).length > 0) await sleep(10);
    const other = await exports.ensure({ ...readOnly(), exportName: 'volume-2' });
    assert.notEqual(other.port, port);
    assert.equal((await exports.ensure({ ...readOnly(), port })).port, port);
    await exports.remove('migration-1');
    assert.equal((await exports.ensure({ ...readOnly(), exportName: 'volume-3' })).port, port);
  });

  test('where there is no other port, that of a dead server serves', async () => {
    const port = await freePort();
    const exports = exportsOf({ ports: { from: port, to: port } });
    await exports.ensure(readOnly());
    const { pid } = (await exports.list())[0]!;
    process.kill(pid, 'SIGKILL');
    while ((await exports.list()).length > 0) await sleep(10);
    assert.equal((await exports.ensure({ ...readOnly(), exportName: 'volume-2' })).port, port);
  });

  test('a port that is taken at the last moment is passed over', async () => {
    const thieves: Server[] = [];
    try {
      const address = await exportsOf({
        run: async (argv, options) => {
          if (thieves.length < 2) {
            const thief = createServer().listen(
              parseServerCommand(join(folder, 'state/exports'), argv.slice(argv.indexOf('qemu-nbd')))!.port,
              '127.0.0.1',
            );
            await once(thief, 'listening');
            thieves.push(thief);
          }
          return runCommand(argv, options);
        },
      }).ensure(writable());
      assert.equal(thieves.length, 2);
      assert.equal(await sizeSeen(address), 32 * mib);
    } finally {
      for (const thief of thieves) thief.close();
    }
  });

  test('no free port is told as such, with the setting to change', async () => {
    const { other, port } = await listener();
    try {
      await assert.rejects(exportsOf({ ports: { from: port, to: port } }).ensure(readOnly()), /node\.exportPorts/);
      assert.deepEqual(await leftovers(), []);
    } finally {
      other.close();
    }
  });

  test('a kernel that refuses io_uring is asked for threads, and then for nothing else', async () => {
    const modes: string[] = [];
    const exports = exportsOf({
      run: async (argv, options) => {
        modes.push(argv.find((a) => a.startsWith('--aio='))!);
        if (argv.includes('--aio=io_uring'))
          throw toolFailed(argv, { exitCode: 1, signal: null, stderr: 'failed to init linux io_uring ring' });
        return runCommand(argv, options);
      },
    });
    assert.equal(await sizeSeen(await exports.ensure(writable())), 32 * mib);
    await exports.ensure({ ...writable(), exportName: 'volume-2' });
    assert.deepEqual(modes, ['--aio=io_uring', '--aio=threads', '--aio=threads']);
  });

  test('a start that is cancelled leaves no server behind', async () => {
    const controller = new AbortController();
    const exports = exportsOf({
      run: async (argv, options) => {
        await runCommand(argv, options);
        controller.abort();
        throw controller.signal.reason;
      },
    });
    await assert.rejects(exports.ensure(writable()), { name: 'AbortError' });
    assert.deepEqual(await exportsOf().list(), []);
    assert.deepEqual(await leftovers(), []);
  });

  test('a start of either server that is cancelled leaves none behind', async () => {
    const activities = new MockActivityEnvironment();
    for (const spec of [readOnly(), writable()]) {
      const starting = activities.run(() => exportsOf().ensure(spec));
      setTimeout(() => activities.cancel(), 20);
      await assert.rejects(starting, { name: 'CancelledFailure' });
      assert.deepEqual(await exportsOf().list(), []);
      assert.deepEqual(await leftovers(), []);
    }
  });

  test('a server from before an upgrade goes on, and is not asked for digests', async () => {
    const { port, exportName } = await exportsOf().ensure(readOnly());
    await exportsOf().remove(exportName);
    await mkdir(join(folder, 'state', 'exports'), { recursive: true });
    const pidFile = join(folder, 'state', 'exports', `${exportName}.pid`);
    const listens = ['--bind=127.0.0.1', `--port=${port}`];
    const options = ['--fork', '--persistent', '--format=raw', '--read-only', '--shared=8', ...listens];
    await execa('qemu-nbd', [...options, `--export-name=${exportName}`, `--pid-file=${pidFile}`, '--', disk]);
    const pid = await pidOf();
    assert.deepEqual(await exportsOf().ensure(readOnly()), { host: '127.0.0.1', port, exportName, tls: false });
    assert.equal(await pidOf(), pid);
  });

  test('a device that is not there is missing', async () => {
    await refuses(exportsOf().ensure({ ...readOnly(), path: join(folder, 'nothing') }), 'DeviceMissing');
    assert.deepEqual(await leftovers(), []);
  });

  test('a device that another program has locked is in use', async () => {
    // A virtual machine, stopped before its first instruction: its disk is its alone.
    const machine = execa(
      'qemu-system-x86_64',
      [
        '-S',
        '-nodefaults',
        '-display',
        'none',
        '-qmp',
        'stdio',
        '-drive',
        `file=${disk},format=raw,if=none,id=disk`,
        '-device',
        'virtio-blk-pci,drive=disk',
      ],
      { stdin: 'pipe', reject: false },
    );
    try {
      await once(machine.stdout, 'data'); // QMP's greeting: the disk is open
      await refuses(exportsOf().ensure(writable()), 'DeviceInUse');
    } finally {
      machine.kill('SIGKILL');
      await machine;
    }
    assert.deepEqual(await leftovers(), []);
  });

  test('what a server says when it cannot serve is in the error', async () => {
    const directory = join(folder, 'a-folder');
    await mkdir(directory, { recursive: true });
    await assert.rejects(exportsOf().ensure({ ...writable(), path: directory }), {
      type: 'ToolFailed',
      message: /qemu-nbd failed.*a-folder/,
    });
    await assert.rejects(exportsOf().ensure({ ...readOnly(), path: directory }), {
      type: 'ToolFailed',
      message: /a-folder is neither a device nor a file/,
    });
    assert.deepEqual(await leftovers(), []);
  });

  test('names, tags and paths that could mean something else are refused', async () => {
    for (const exportName of ['', '../x', '--fork', 'a/b', 'a,b', 'x'.repeat(10_000)]) {
      await refuses(exportsOf().ensure({ ...readOnly(), exportName }), 'InvalidInput');
      await refuses(exportsOf().remove(exportName), 'InvalidInput');
    }
    await refuses(exportsOf().ensure({ ...readOnly(), tags: ['a b'] }), 'InvalidInput');
    await refuses(exportsOf().ensure({ ...readOnly(), path: 'disk' }), 'InvalidInput');
    assert.deepEqual(await exportsOf().list(), []);
  });

  test('an address that others reach is refused without TLS, unless the operator vouches for the network', async () => {
    for (const address of ['0.0.0.0', '192.0.2.7', '::', 'server1.example.org', '::ffff:192.0.2.7']) {
      assert.throws(() => exportsOf({ address }), { type: 'InvalidInput', message: /node\.tls/ });
    }
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) exportsOf({ address });
    exportsOf({ address: '192.0.2.7', tls: { directory: '/etc/pki' } });
    assert.equal((await exportsOf({ address: '0.0.0.0', insecureNetwork: true }).ensure(readOnly())).tls, false);
  });

  test('an address that is not this node’s is told as such', async () => {
    await assert.rejects(exportsOf({ address: '192.0.2.7', insecureNetwork: true }).ensure(readOnly()), {
      type: 'InvalidInput',
      message: /node\.address/,
    });
    assert.deepEqual(await leftovers(), []);
  });

  test('with TLS only clients of the same authority get in', async () => {
    const { directory } = await makeCertificates(join(folder, 'pki, with a comma'));
    const { directory: foreign } = await makeCertificates(join(folder, 'foreign-pki'));
    const exports = exportsOf({ tls: { directory } });
    const address = await exports.ensure(readOnly());
    assert.equal(address.tls, true);
    const seen = (certificates: string) =>
      execa('nbdinfo', [
        '--size',
        `nbds://127.0.0.1:${address.port}/migration-1?tls-certificates=${encodeURIComponent(certificates)}`,
      ]);
    assert.equal(Number((await seen(directory)).stdout), 32 * mib);
    await assert.rejects(sizeSeen(address), 'without TLS');
    await assert.rejects(seen(foreign), 'with another authority’s certificate');
    const pid = await pidOf();
    assert.deepEqual(await exports.ensure(readOnly()), address);
    assert.equal(await pidOf(), pid, 'its TLS is known from its command line');
    await exportsOf().ensure(readOnly());
    assert.notEqual(await pidOf(), pid, 'a server with other TLS settings is replaced');
  });
});

describe('an export that is for one machine', () => {
  for (const [what, exportName] of [
    ['what guests use', 'volume-1'],
    ['what copies read', 'migration-1'],
  ] as const)
    test(`lets in that one and no other: ${what}`, async () => {
      const { directory } = await makeCertificates(join(folder, `pki-${exportName}`), ['127.0.0.1'], ['hv1']);
      const of = async (name: string) => {
        const own = join(directory, name);
        await makeClientFolder(directory, own, [name]);
        return own;
      };
      const meant = (names: readonly string[]) => exportsOf({ tls: { directory }, peersOf: async () => names });
      const address = await meant(['hv1']).ensure({ ...readOnly(), exportName });
      const seen = (certificates: string) =>
        execa('nbdinfo', [
          '--size',
          `nbds://127.0.0.1:${address.port}/${exportName}?tls-certificates=${encodeURIComponent(certificates)}`,
        ]);
      await seen(directory);
      await seen(await of('hv1.example.org'));
      for (const name of ['hv2', 'hv11', 'xhv1', 'hv1-old', 'HV1']) await assert.rejects(seen(await of(name)), name);
      assert.deepEqual(await exportsOf({ tls: { directory } }).ensure({ ...readOnly(), exportName }), address);
      await assert.rejects(meant([]).ensure({ ...readOnly(), exportName }), { type: 'InvalidInput' });
      await assert.rejects(meant(['*']).ensure({ ...readOnly(), exportName }), { type: 'InvalidInput', message: /\*/ });
      await meant(['hv2']).ensure({ ...readOnly(), exportName });
      await assert.rejects(seen(directory), 'it is for another machine now');
    });
});

describe('a server’s command line', () => {
  const settings: ServerSettings = {
    exportName: 'migration-1',
    path: '/dev/vg/lv',
    writable: false,
    address: '127.0.0.1',
    port: 10809,
    tlsDirectory: null,
    peers: null,
  };
  const cases: Partial<ServerSettings>[] = [
    {},
    { writable: true },
    { path: '/srv/--read-only' },
    { path: '/srv/a b,c=d' },
    { tlsDirectory: '/etc/p,k=i/x' },
    { address: '::1' },
    { writable: true, tlsDirectory: '/a,,endpoint=client' },
    { writable: true, tlsDirectory: '/etc/pki', peers: ['hv1'] },
    { tlsDirectory: '/etc/pki', peers: ['server1', 'hv-2'] },
  ];
  for (const change of cases) {
    test(`says what it serves: ${JSON.stringify(change)}`, () => {
      const wanted = { ...settings, ...change };
      const command = serverCommand('/state', wanted, 'threads');
      const pidFile = '/state/migration-1.pid';
      assert.deepEqual(parseServerCommand('/state', command), { ...wanted, digests: false, pidFile });
      assert.equal(parseServerCommand('/another', command), null);
      const reader = readerCommand('/state', wanted);
      assert.deepEqual(parseServerCommand('/state', reader), { ...wanted, writable: false, digests: true, pidFile });
      const joined = { isBlock: false, pidFile: '/state/migration-1.joined.pid' };
      const second = parseServerCommand('/state', serverCommand('/state', wanted, 'threads', joined));
      assert.deepEqual(second, { ...wanted, digests: false, pidFile: joined.pidFile });
      assert.equal(parseServerCommand('/another', reader), null);
    });
  }

  test('of an earlier version, which opened its port itself, says the same', () => {
    const command = serverCommand('/state', settings, 'threads').flatMap((argument) =>
      argument.startsWith('--description=') ? ['--bind=127.0.0.1', '--port=10809'] : [argument],
    );
    const pidFile = '/state/migration-1.pid';
    assert.deepEqual(parseServerCommand('/state', command), { ...settings, digests: false, pidFile });
  });

  test('of a stranger is none', () => {
    for (const argv of [
      ['qemu-nbd'],
      ['qemu-nbd', '-t', '/disk'],
      ['qemu-nbd', '--pid-file=/state/x.pid', '--export-name=y', '/disk'],
      ['qemu-nbd', '--export-name'],
    ]) {
      assert.equal(parseServerCommand('/state', argv), null);
    }
  });
});

/** A client that the server has let in: it has been greeted. */
async function greeted(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  const [greeting] = (await once(socket, 'data')) as [Buffer];
  assert.equal(greeting.subarray(0, 8).toString(), 'NBDMAGIC');
  return socket;
}

/** Somebody else's server, and the port it has. */
async function listener(): Promise<{ other: Server; port: number }> {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  return { other, port: (other.address() as AddressInfo).port };
}

async function leftovers(): Promise<string[]> {
  return (await readdir(join(folder, 'state', 'exports'))).filter((name) => name !== 'locks');
}
