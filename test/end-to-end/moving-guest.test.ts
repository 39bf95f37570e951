import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { computeNode } from '../../testbed/compute-node.ts';
import { readRecords } from '../../testbed/guest/records.ts';
import type { ManagedWorker } from '../../testbed/system.ts';
import { Hypervisor, migrateWords } from '../activities/compute/hypervisor.ts';
import { type AttachedVolume, AttachedStage } from './attached-stage.ts';
import { exportServers } from './export-servers.ts';
import { poll, server2 } from './stage.ts';

let stage: AttachedStage;
/** Another hypervisor, to which the guest may go. */
let other: Hypervisor;
let compute: ManagedWorker;
before(async () => {
  stage = await AttachedStage.set({ hostName: 'hv1' });
  // It is of the same libvirt: a guest that comes back would be as much its own as that of hv1.
  await stage.computeOnServer1.signal('SIGKILL');
  other = await Hypervisor.start({ hostName: 'hv2' });
  const at = { name: 'hv2', directory: join(stage.system.directory, 'compute'), libvirtUri: other.libvirt.uri };
  compute = await computeNode({ ...at, configuration: { nodeTimeoutSeconds: 60 }, env: stage.system.env });
  await compute.start();
});
after(async () => {
  await compute?.signal('SIGKILL');
  await stage?.strike();
  await other?.stop();
});

interface Moving {
  readonly child: ChildProcess;
  /** Exit code, and what virsh said. */
  readonly ended: Promise<{ code: number | null; said: string }>;
}

/** libvirt migrates the guest, as an operator tells it. */
async function migrateGuest(from: Hypervisor, to: Hypervisor, ...more: string[]): Promise<Moving> {
  const words = await migrateWords(stage.guest.name, to);
  const child = spawn('virsh', ['--connect', from.libvirt.uri, ...words, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, said })) };
}

const hostOf = async ({ id }: AttachedVolume) => (await stage.attachment(id)).computeHost;
const serversOf = async ({ attachmentId }: AttachedVolume) =>
  (await exportServers(stage.system.directory)).filter(({ argv }) => argv.some((arg) => arg.includes(attachmentId)));

/** Every record that the guest has written is there, and it goes on to write. */
async function assertWrites(volume: AttachedVolume, on: Hypervisor): Promise<void> {
  const look = async () => {
    await on.virsh('suspend', '--domain', stage.guest.name);
    try {
      return await readRecords(await stage.imageOf(volume.id));
    } finally {
      await on.virsh('resume', '--domain', stage.guest.name);
    }
  };
  const earlier = await look();
  await poll(async () => (await look()).highest > earlier.highest);
  const { torn, missing } = await look();
  assert.deepEqual([torn, missing], [0, []]);
}

describe('a guest that libvirt migrates to another hypervisor', () => {
  test('while its volume is mirrored is refused by libvirt, and the mirror goes on', async () => {
    const { volume, handle } = await stage.midMirror();
    const { code, said } = await (await migrateGuest(stage.hypervisor, other)).ended;
    assert.notEqual(code, 0);
    assert.match(said, /block job/);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.assertAt(volume, server2, 'success');
    await stage.drop(volume);
  });

  test('and does not get there keeps its volume, alone', async () => {
    const volume = await stage.attached();
    const [server] = await serversOf(volume);
    // So slowly that it is met in the middle. MiB a second.
    const { ended } = await migrateGuest(stage.hypervisor, other, '--bandwidth', '1');
    await poll(async () => (await serversOf(volume)).length === 2);
    // libvirt may say that there is no such domain: it has just ended the one that it was told to end.
    await other.virsh('destroy', '--domain', stage.guest.name).catch(() => {});
    assert.notEqual((await ended).code, 0);
    await poll(async () => {
      const now = await serversOf(volume);
      return now.length === 1 && now[0]!.pid === server!.pid;
    });
    assert.equal(await hostOf(volume), 'hv1');
    await assertWrites(volume, stage.hypervisor);
    await stage.drop(volume);
  });

  test('has its volume there, which moves, is detached and attached there, and comes back with it', async () => {
    const volume = await stage.attached();
    const there = await migrateGuest(stage.hypervisor, other);
    const { code, said } = await there.ended;
    assert.equal(code, 0, said);
    await poll(async () => (await hostOf(volume)) === 'hv2' && (await serversOf(volume)).length === 1);
    await assertWrites(volume, other);
    // Both of its definitions are there, too, and its move is done by that hypervisor's worker.
    const handle = await stage.migrate(volume.id);
    assert.equal(await stage.outcome(handle), 'success');
    assert.equal((await stage.volume(volume.id)).host, server2);
    await assertWrites(volume, other);
    const back = await (await migrateGuest(other, stage.hypervisor)).ended;
    assert.equal(back.code, 0, back.said);
    await poll(async () => (await hostOf(volume)) === 'hv1' && (await serversOf(volume)).length <= 1);
    await assertWrites(volume, stage.hypervisor);
    await stage.drop(volume);
  });
});
