import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exports } from '../../../../activities/storage/exports.ts';
import { makeCertificates, makeClientFolder } from '../../../../testbed/certificates.ts';
import { freePort } from '../copier/source-server.ts';
import { loopDevice, mib, scratchFolder } from '../copier/volumes.ts';
import { loopbackExports } from './loopback-exports.ts';

const exportName = 'attachment-1';
const hosts = ['hv1', 'hv2', 'hv3'] as const;
type Host = (typeof hosts)[number];

/** A QEMU's connection to the export: it writes what it is told, once it is let in. */
class Client {
  readonly #child: ChildProcess;
  #said = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
  }

  /** Whether the write is done within so long. */
  async writes(offset: string, withinMs = 5_000): Promise<boolean> {
    const before = this.#said.length;
    if (this.#child.exitCode === null) this.#child.stdin!.write(`write -f ${offset} 4k\n`);
    for (const deadline = performance.now() + withinMs; performance.now() < deadline; await sleep(20))
      if (this.#said.slice(before).includes('wrote 4096')) return true;
    return false;
  }

  async leave(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** An export over TLS that is for `hv1`, and clients of three machines. */
async function exported(t: TestContext, kind: 'file' | 'block') {
  const folder = await scratchFolder(t);
  const file = join(folder, 'disk, with a comma');
  await writeFile(file, '');
  await truncate(file, 16 * mib);
  const path = kind === 'file' ? file : await loopDevice(t, file);
  const { directory } = await makeCertificates(join(folder, 'pki'), ['127.0.0.1'], ['hv1']);
  for (const host of hosts) await makeClientFolder(directory, join(folder, host), [host]);
  const from = await freePort();
  const stateDirectory = join(folder, 'state');
  const exports = loopbackExports({
    stateDirectory,
    ports: { from, to: from + 5 },
    tls: { directory },
    peersOf: async () => ['hv1'],
  });
  const { port } = await exports.ensure({ exportName, path, writable: true, tags: [] });
  t.after(() => exports.remove(exportName));
  const client = (host: Host) => {
    const tls = `tls-creds-x509,id=tls,dir=${join(folder, host)},endpoint=client,verify-peer=yes`;
    const image = `driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=${port},export=${exportName},tls-creds=tls`;
    const child = spawn('qemu-io', ['--object', tls, '--image-opts', image]);
    const made = new Client(child);
    t.after(() => made.leave());
    return made;
  };
  const pids = async () => (await exports.list()).map(({ pid }) => pid);
  return { exports, client, pids, stateDirectory, path };
}

/** How the server has the device open: `O_DIRECT` is 0o40000. */
async function opensDirectly(pid: number, path: string): Promise<boolean> {
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) !== path) continue;
    const flags = /^flags:\s*(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    return (Number.parseInt(flags, 8) & 0o40_000) !== 0;
  }
  return false;
}

const clientsOf = (exports: Exports) => exports.clients(exportName);

for (const kind of ['file', 'block'] as const)
  test(`a guest's migration: two QEMUs have the ${kind}, then the one that it came to, and one more time back`, async (t) => {
    const { exports, client, pids, stateDirectory, path } = await exported(t, kind);
    const first = client('hv1');
    assert.ok(await first.writes('0'));
    const second = client('hv2');
    assert.equal(await second.writes('4k', 1_000), false, 'an export has one client');
    await exports.admit(exportName, 'hv2');
    await exports.admit(exportName, 'hv2');
    assert.ok(await second.writes('8k'), 'the one that waited is let in');
    assert.equal((await clientsOf(exports)).length, 2);
    assert.equal((await pids()).length, 2);
    assert.ok(await opensDirectly((await pids())[1]!, path), 'what it writes goes past the cache');
    // While both are there neither is cut off.
    await exports.settle(exportName);
    assert.ok(await first.writes('12k'));
    await first.leave();
    await exports.settle(exportName);
    const [left, ...others] = await pids();
    assert.deepEqual(others, []);
    assert.ok(await second.writes('16k'));
    assert.equal((await clientsOf(exports)).length, 1);
    // Back again, beside the one that was the second.
    const third = client('hv1');
    assert.equal(await third.writes('20k', 1_000), false, 'one client again');
    await exports.admit(exportName, 'hv1');
    assert.ok(await third.writes('20k'));
    await second.leave();
    await exports.settle(exportName);
    const [last, ...more] = await pids();
    assert.deepEqual(more, []);
    assert.notEqual(last, left);
    assert.ok(await third.writes('24k'));
    await third.leave();
    await exports.remove(exportName);
    const files = (await readdir(join(stateDirectory, 'exports'))).filter((name) => name.includes('pid'));
    assert.deepEqual(files, []);
  });

test('a migration that fails leaves the guest where it was, and lets nobody else in', async (t) => {
  const { exports, client, pids } = await exported(t, 'file');
  const first = client('hv1');
  assert.ok(await first.writes('0'));
  const [server] = await pids();
  await exports.admit(exportName, 'hv2');
  const stranger = client('hv3');
  assert.equal(await stranger.writes('4k', 1_500), false, 'it is for the machine that the guest goes to');
  await stranger.leave();
  const second = client('hv2');
  assert.ok(await second.writes('8k'));
  await second.leave();
  await exports.settle(exportName);
  assert.deepEqual(await pids(), [server]);
  assert.ok(await first.writes('12k'));
  const late = client('hv2');
  assert.equal(await late.writes('16k', 1_000), false);
  await late.leave();
  // A window in which nobody came is closed as well.
  await exports.admit(exportName, 'hv2');
  await first.leave();
  await exports.settle(exportName);
  assert.deepEqual(await pids(), [server]);
});

test('where nobody is, nobody is let in beside; an export that is not there is told', async (t) => {
  const { exports, pids } = await exported(t, 'file');
  const before = await pids();
  await exports.admit(exportName, 'hv2');
  await exports.settle(exportName);
  assert.deepEqual(await pids(), before);
  assert.equal(readFileSync(`/proc/${before[0]}/comm`, 'utf8').trim(), 'qemu-nbd');
  await assert.rejects(exports.admit('attachment-2', 'hv2'), { type: 'DeviceMissing' });
  await exports.settle('attachment-2');
});
