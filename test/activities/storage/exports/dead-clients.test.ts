import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { createQemuNbdExports } from '../../../../activities/storage/exports/create-qemu-nbd-exports.ts';
import type { ExportAddress, Exports } from '../../../../activities/storage/exports.ts';
import { runCommand } from '../../../../activities/storage/run-command.ts';

const space = `dead${process.pid}`;
const [ours, theirs] = [`da${process.pid}`, `db${process.pid}`];
const [node, hypervisor] = ['10.77.79.1', '10.77.79.2'];

/** A hypervisor is a network namespace here; its cable is pulled, and nobody hears of its connections any more. */
describe('a client that dies without a word', { timeout: 600_000 }, () => {
  let folder: string;
  let exports: Exports;
  const clients: ChildProcess[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-dead-clients-'));
    for (const line of [
      `netns add ${space}`,
      `link add ${ours} type veth peer name ${theirs} netns ${space}`,
      `address add ${node}/24 dev ${ours}`,
      `link set ${ours} up`,
      `-n ${space} address add ${hypervisor}/24 dev ${theirs}`,
      `-n ${space} link set ${theirs} up`,
    ])
      await execa('ip', line.split(' '));
    exports = createQemuNbdExports({
      stateDirectory: join(folder, 'state'),
      address: node,
      ports: { from: 11_960, to: 11_990 },
      tls: null,
      insecureNetwork: true,
      run: runCommand,
    });
  });
  after(async () => {
    for (const client of clients) client.kill('SIGKILL');
    for (const { exportName } of await exports.list()) await exports.remove(exportName);
    await execa('ip', ['link', 'del', ours], { reject: false });
    await execa('ip', ['netns', 'del', space], { reject: false });
    await rm(folder, { recursive: true });
  });

  async function exported(exportName: string): Promise<ExportAddress> {
    const path = join(folder, exportName);
    await writeFile(path, '');
    await truncate(path, 2 ** 20);
    return exports.ensure({ exportName, path, writable: true, tags: [] });
  }

  /** QEMU's client, which has the disk open until its input ends. */
  async function client({ port, exportName }: ExportAddress, where: readonly string[]): Promise<ChildProcess> {
    const uri = `nbd://${node}:${port}/${exportName}`;
    const [program, ...operands] = [...where, 'qemu-io', '-f', 'raw', uri];
    const process = spawn(program, operands, { stdio: ['pipe', 'ignore', 'inherit'] });
    clients.push(process);
    while ((await exports.clients(exportName)).length === 0) await sleep(20);
    return process;
  }
  const onHypervisor = ['ip', 'netns', 'exec', space];

  /** What waits for the server to read it, in bytes. */
  async function unread(port: number): Promise<number> {
    const { stdout } = await execa('ss', ['-tnH', 'state', 'established', `sport = :${port}`]);
    return Number(stdout.trim().split(/\s+/)[0]);
  }

  /** Comes into the one place as soon as it is free, and leaves it again. */
  async function next({ port }: ExportAddress): Promise<void> {
    const socket = connect({ host: node, port });
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    assert.equal(greeting.toString('latin1', 0, 8), 'NBDMAGIC');
    socket.destroy();
  }

  test('leaves its place, idle or with an answer under way; one that only says nothing keeps it', async () => {
    const [idle, busy, quiet] = [await exported('idle'), await exported('busy'), await exported('quiet')];
    await client(idle, onHypervisor);
    const reader = await client(busy, onHypervisor);
    await client(quiet, []);
    const living = await exports.clients('quiet');
    const { pid } = (await exports.list()).find(({ exportName }) => exportName === 'busy')!;
    process.kill(pid, 'SIGSTOP');
    try {
      reader.stdin!.write('read 0 64k\n');
      while (!((await unread(busy.port)) > 0)) await sleep(20);
      await execa('ip', ['-n', space, 'link', 'set', theirs, 'down']);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await Promise.all([next(idle), next(busy)]);
    assert.deepEqual(await exports.clients('quiet'), living);
  });
});
