import assert from 'node:assert/strict';
import { once } from 'node:events';
import { open, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { redirectTable } from '../../activities/compute/redirect-exports.ts';
import { runCommand } from '../../activities/storage/run-command.ts';
import { nbdConnection } from '../../model/connection.ts';
import { messages } from '../../model/messages.ts';
import type { AttachedVolume } from './attached-stage.ts';
import { attachedTests } from './attached-tests.ts';
import { poll, server1, server2 } from './stage.ts';

const on = attachedTests();
const { keep, midMirror } = on;

const mib = 1024 ** 2;

describe('a volume under a running guest', () => {
  test('moves to the second back end, back, and away again; the guest notices nothing', async () => {
    const volume = keep(await on.stage.attached());
    for (const host of [server2, server1, server2]) {
      const handle = await on.stage.migrate(volume.id, { destination: host });
      assert.equal(await on.stage.outcome(handle), 'success');
      await on.stage.assertAt(volume, host, 'success');
      const { events } = await handle.fetchHistory();
      assert.ok(events!.length < 160, `${events!.length} events`);
    }
  });

  test('moves off its hypervisor and onto it, where no export is needed', async () => {
    const volume = keep(await on.stage.attached('server1'));
    assert.equal((await on.stage.attachment(volume.id)).connection?.['protocol'], 'local');
    for (const host of [server2, server1]) {
      assert.equal(await on.stage.outcome(await on.stage.migrate(volume.id, { destination: host })), 'success');
      await on.stage.assertAt(volume, host, 'success');
    }
    assert.equal((await on.stage.attachment(volume.id)).connection?.['protocol'], 'local');
  });

  test('moves beside another one of the same guest', async () => {
    const volumes = [keep(await on.stage.attached()), keep(await on.stage.attached())];
    const handles = await Promise.all(volumes.map(({ id }) => on.stage.migrate(id)));
    for (const handle of handles) assert.equal(await on.stage.outcome(handle), 'success');
    for (const volume of volumes) await on.stage.assertAt(volume, server2, 'success');
  });

  test('rests while its migration is paused, and is slowed and hurried', async () => {
    const { volume, handle } = await midMirror();
    await handle.executeUpdate(messages.pauseMigration);
    await poll(async () => ((await handle.describe()).raw.pendingActivities ?? []).length === 0);
    await handle.executeUpdate(messages.resumeMigration);
    await on.stage.untilMirrored(handle);
    await on.stage.hurry(handle);
    assert.equal(await on.stage.outcome(handle), 'success');
    await on.stage.assertAt(volume, server2, 'success');
  });
});

describe('what the guest will read is what it would have read', () => {
  test('the record says that both sides of the mirror were compared', async () => {
    const volume = keep(await on.stage.attached());
    assert.equal(await on.stage.outcome(await on.stage.migrate(volume.id)), 'success');
    const { proof, evidence } = await on.stage.migration(volume.id);
    assert.equal(proof, 'compared');
    assert.deepEqual([evidence?.source, evidence?.destination, evidence?.copiedAgain], ['server', 'comparison', 0]);
    // The page that the guest was writing to, perhaps, and the one before it.
    assert.ok((evidence?.unprovenBytes ?? 0) <= 8192);
  });

  test('a byte that flips on the destination is found before the guest is turned, and mirrored once more', async () => {
    const { volume, handle } = await midMirror();
    // What the guest does not write to, and what is mirrored by then.
    await poll(async () => (await on.stage.state(handle)).bytesDone > 10 * mib);
    const file = await open(await on.stage.newestDeviceOn(server2), 'r+');
    await file.write(Buffer.from('flipped'), 0, 7, 8 * mib + 100);
    await file.close();
    await on.stage.hurry(handle);
    assert.equal(await on.stage.outcome(handle), 'success');
    await on.stage.assertAt(volume, server2, 'success');
    const { proof, evidence } = await on.stage.migration(volume.id);
    assert.deepEqual([proof, evidence?.copiedAgain], ['compared', 1]);
  });
});

test('a guest that is overlaid by somebody before its mirror begins: the migration goes back by itself', async () => {
  const { stage } = on;
  const volume = keep(await stage.attached());
  await stage.system.storage['server2']!.signal('SIGSTOP');
  const handle = await stage.migrate(volume.id);
  // The disk was looked at by then.
  await poll(async () => {
    const pending = (await handle.describe()).raw.pendingActivities ?? [];
    return pending.some(({ activityType }) => activityType?.name === 'prepareDestination');
  });
  const { virsh, libvirt } = stage.hypervisor;
  const at = ['--domain', stage.guest.name] as const;
  const spec = `${volume.device},file=${join(libvirt.folder, 'overlay')}`;
  await virsh('snapshot-create-as', ...at, '--disk-only', '--no-metadata', '--diskspec', spec);
  await stage.system.storage['server2']!.signal('SIGCONT');
  assert.equal(await stage.outcome(handle), 'InstanceNotReady');
  await virsh('blockcommit', ...at, '--path', volume.device, '--active', '--wait', '--pivot');
  await stage.assertAt(volume, server1, 'error');
});

describe('a cancel goes back', () => {
  test('while the destination is prepared', async () => {
    const volume = keep(await on.stage.attached());
    await on.stage.system.storage['server2']!.signal('SIGSTOP');
    const handle = await on.stage.migrate(volume.id);
    await poll(async () => (await on.stage.state(handle)).phase === 'preparing');
    await handle.executeUpdate(messages.cancelMigration);
    await on.stage.system.storage['server2']!.signal('SIGCONT');
    assert.equal(await on.stage.outcome(handle), 'CancelledFailure');
    await on.stage.assertAt(volume, server1, 'cancelled');
  });

  test('while it is paused', async () => {
    const { volume, handle } = await midMirror();
    await handle.executeUpdate(messages.pauseMigration);
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await on.stage.outcome(handle), 'CancelledFailure');
    await on.stage.assertAt(volume, server1, 'cancelled');
  });

  for (const [by, cancel] of [
    ["Ferry's own", 'update'],
    ["the Web UI's", 'workflow'],
  ] as const) {
    test(`in mid-mirror, ${by}: the guest goes on with the source, nothing is left`, async () => {
      const { volume, handle } = await midMirror();
      await (cancel === 'update' ? handle.executeUpdate(messages.cancelMigration) : handle.cancel());
      assert.equal(await on.stage.outcome(handle), 'CancelledFailure');
      await on.stage.assertAt(volume, server1, 'cancelled');
    });
  }
});

describe('around the pivot', () => {
  for (const [who, harm] of [
    ['the compute worker', () => on.stage.compute],
    ['the control worker', () => on.stage.system.control],
  ] as const) {
    test(`${who} is killed: the migration goes forward`, async () => {
      const { volume, handle } = await midMirror();
      await on.stage.hurry(handle);
      await poll(async () => ['switching', 'cleaning-up', 'finished'].includes((await on.stage.state(handle)).phase));
      await harm().signal('SIGKILL');
      await harm().start();
      assert.equal(await on.stage.outcome(handle), 'success');
      await on.stage.assertAt(volume, server2, 'success');
    });
  }

  test('a guest that was powered off after the migration starts from the new place', async () => {
    const volume = keep(await on.stage.attached());
    assert.equal(await on.stage.outcome(await on.stage.migrate(volume.id)), 'success');
    await on.stage.guest.powerOff();
    await on.stage.guest.start();
    await on.stage.guest.console.progress(volume.device, 5);
    await on.stage.assertAt(volume, server2, 'success');
  });

  test('a guest whose export cannot have its port again goes on where that is now, and after it was powered off', async () => {
    const { stage } = on;
    const volume = keep(await stage.attached());
    const { port } = await connectionOf(volume);
    const silent = createServer((socket) => socket.on('error', () => undefined).unref());
    const worker = stage.system.storage['server1']!;
    await worker.signal('SIGSTOP');
    process.kill(await stage.serverOf(server1, /volume-/), 'SIGKILL');
    await poll(() => listening(silent, port));
    await worker.signal('SIGCONT');
    try {
      await stage.guest.console.progress(volume.device, 5);
      assert.notEqual((await connectionOf(volume)).port, port);
      assert.equal(await stage.outcome(await stage.migrate(volume.id)), 'success');
      await stage.guest.powerOff();
      await stage.guest.start();
      await stage.guest.console.progress(volume.device, 5);
      const table = redirectTable({ name: 'hv1', libvirtUri: stage.hypervisor.libvirt.uri });
      await poll(async () => !(await runCommand(['nft', 'list', 'tables'])).stdout.includes(table));
    } finally {
      silent.close();
    }
    await stage.assertAt(volume, server2, 'success');
  });

  test('nor before its source could be retired: what the guest was told to be written is not left behind', async () => {
    const { stage } = on;
    const { guest, hypervisor, system } = stage;
    const volume = keep(await stage.attached('server1'));
    const old = join(hypervisor.libvirt.folder, 'older-definition.xml');
    await writeFile(old, await hypervisor.virsh('dumpxml', '--domain', guest.name, '--inactive', '--security-info'));
    const handle = await stage.migrate(volume.id, { nodeTimeoutSeconds: 600 });
    await poll(async () => (await stage.state(handle)).phase === 'switching');
    await system.storage['server2']!.signal('SIGSTOP');
    await poll(async () => (await stage.volume(volume.id)).host === server2);
    const { events } = await handle.fetchHistory();
    assert.ok(!JSON.stringify(events).includes('retireSource'));
    await poll(async () => JSON.stringify((await handle.fetchHistory()).events).includes('settleDestination'));
    await stage.computeOnServer1.signal('SIGKILL');
    await guest.cutPower();
    await hypervisor.virsh('define', '--file', old);
    await assert.rejects(guest.turnOn(), /Operation not permitted|Permission denied/);
    await system.storage['server2']!.signal('SIGCONT');
    await stage.computeOnServer1.start();
    assert.equal(await stage.outcome(handle), 'success');
    await poll(async () => (await hypervisor.virsh('dumpxml', '--domain', guest.name)).includes(`protocol='nbd'`));
    await guest.start();
    await guest.console.progress(volume.device, 5);
    await stage.assertAt(volume, server2, 'success');
  });

  test('a guest whose definition names the source again, which is kept on its own hypervisor, does not start on it', async () => {
    const { guest, hypervisor } = on.stage;
    const volume = keep(await on.stage.attached('server1'));
    const old = join(hypervisor.libvirt.folder, 'old-definition.xml');
    await writeFile(old, await hypervisor.virsh('dumpxml', '--domain', guest.name, '--inactive', '--security-info'));
    const kept = await on.stage.migrate(volume.id, { keepSourceSeconds: 86_400 });
    assert.equal(await on.stage.outcome(kept), 'success');
    // Nobody puts it right before the guest is started: as when a hypervisor boots that lost its last seconds.
    await on.stage.computeOnServer1.signal('SIGKILL');
    await guest.cutPower();
    await hypervisor.virsh('define', '--file', old);
    await assert.rejects(guest.turnOn(), /Operation not permitted|Permission denied/);
    await on.stage.computeOnServer1.start();
    await poll(async () => (await hypervisor.virsh('dumpxml', '--domain', guest.name)).includes(`protocol='nbd'`));
    await guest.start();
    await guest.console.progress(volume.device, 5);
    await on.stage.ferry('migration', 'discard', volume.id);
    await on.stage.assertAt(volume, server2, 'success');
  });
});

describe('what cannot be done is refused before anything is made', () => {
  test('a migration while the guest is off', async () => {
    const volume = keep(await on.stage.attached());
    await on.stage.guest.powerOff();
    const refused = await on.stage.outcome(await on.stage.migrate(volume.id));
    await on.stage.guest.start();
    assert.equal(refused, 'InstanceNotReady');
    await on.stage.guest.console.progress(volume.device, 5);
    await on.stage.assertAt(volume, server1, null);
  });

  test('an attach to an instance that the hypervisor does not have', async () => {
    const id = await on.stage.create();
    assert.equal((await on.stage.refused('attach', id, 'vm-none', 'hv1')).type, 'InstanceNotFound');
    assert.equal((await on.stage.volume(id)).status, 'available');
    await on.stage.ferry('delete', id);
  });

  test('the migration of a volume on a hypervisor without a compute worker', async () => {
    const id = await on.stage.create();
    await on.stage.ferry('attach', id, 'vm-9', 'hv9');
    assert.equal(await on.stage.outcome(await on.stage.migrate(id)), 'InstanceNotReady');
    await on.stage.ferry('detach', id);
    await on.stage.ferry('delete', id);
  });
});

async function connectionOf({ id }: AttachedVolume) {
  return nbdConnection.parse((await on.stage.attachment(id)).connection);
}

/** Whether a server has the port now. */
async function listening(server: Server, port: number): Promise<boolean> {
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return true;
  } catch {
    return false;
  }
}
