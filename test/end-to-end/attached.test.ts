import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findQemuProcess } from '../../activities/compute/qemu-process.ts';
import { messages } from '../../model/messages.ts';
import { reconcileSchedule } from '../../model/names.ts';
import { AttachedStage, type AttachedVolume } from './attached-stage.ts';
import { poll, server1, server2 } from './stage.ts';

let stage: AttachedStage;
let mine: AttachedVolume[] = [];
before(async () => {
  stage = await AttachedStage.set();
});
after(() => stage?.strike());
afterEach(async () => {
  for (const volume of mine.splice(0)) await stage.drop(volume);
});

const keep = (volume: AttachedVolume): AttachedVolume => {
  mine.push(volume);
  return volume;
};

async function midMirror(computeHost?: string) {
  const { volume, handle } = await stage.midMirror(computeHost);
  return { volume: keep(volume), handle };
}

describe('a volume under a running guest', () => {
  test('moves to the second back end, back, and away again; the guest notices nothing', async () => {
    const volume = keep(await stage.attached());
    for (const host of [server2, server1, server2]) {
      const handle = await stage.migrate(volume.id, { destination: host });
      assert.equal(await stage.outcome(handle), 'success');
      await stage.assertAt(volume, host, 'success');
      const { events } = await handle.fetchHistory();
      assert.ok(events!.length < 140, `${events!.length} events`);
    }
  });

  test('moves off its hypervisor and onto it, where no export is needed', async () => {
    const volume = keep(await stage.attached('server1'));
    assert.equal((await stage.attachment(volume.id)).connection?.['protocol'], 'local');
    for (const host of [server2, server1]) {
      assert.equal(await stage.outcome(await stage.migrate(volume.id, { destination: host })), 'success');
      await stage.assertAt(volume, host, 'success');
    }
    assert.equal((await stage.attachment(volume.id)).connection?.['protocol'], 'local');
  });

  test('moves beside another one of the same guest', async () => {
    const volumes = [keep(await stage.attached()), keep(await stage.attached())];
    const handles = await Promise.all(volumes.map(({ id }) => stage.migrate(id)));
    for (const handle of handles) assert.equal(await stage.outcome(handle), 'success');
    for (const volume of volumes) await stage.assertAt(volume, server2, 'success');
  });

  test('rests while its migration is paused, and is slowed and hurried', async () => {
    const { volume, handle } = await midMirror();
    await handle.executeUpdate(messages.pauseMigration);
    await poll(async () => ((await handle.describe()).raw.pendingActivities ?? []).length === 0);
    await handle.executeUpdate(messages.resumeMigration);
    await stage.untilMirrored(handle);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.assertAt(volume, server2, 'success');
  });
});

describe('a cancel goes back', () => {
  test('while the destination is prepared', async () => {
    const volume = keep(await stage.attached());
    await stage.system.storage['server2']!.signal('SIGSTOP');
    const handle = await stage.migrate(volume.id);
    await poll(async () => (await stage.state(handle)).phase === 'preparing');
    await handle.executeUpdate(messages.cancelMigration);
    await stage.system.storage['server2']!.signal('SIGCONT');
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.assertAt(volume, server1, 'cancelled');
  });

  test('while it is paused', async () => {
    const { volume, handle } = await midMirror();
    await handle.executeUpdate(messages.pauseMigration);
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.assertAt(volume, server1, 'cancelled');
  });

  for (const [by, cancel] of [
    ["Ferry's own", 'update'],
    ["the Web UI's", 'workflow'],
  ] as const) {
    test(`in mid-mirror, ${by}: the guest goes on with the source, nothing is left`, async () => {
      const { volume, handle } = await midMirror();
      await (cancel === 'update' ? handle.executeUpdate(messages.cancelMigration) : handle.cancel());
      assert.equal(await stage.outcome(handle), 'CancelledFailure');
      await stage.assertAt(volume, server1, 'cancelled');
    });
  }
});

describe('in mid-mirror', () => {
  const goesOn = (what: string, harm: () => Promise<unknown>): void => {
    test(`${what}: the mirror goes on`, async () => {
      const { volume, handle } = await midMirror();
      await harm();
      await stage.hurry(handle);
      assert.equal(await stage.outcome(handle), 'success');
      await stage.assertAt(volume, server2, 'success');
    });
  };

  const restarted = async (worker: { signal(s: 'SIGKILL'): Promise<void>; start(): Promise<void> }) => {
    await worker.signal('SIGKILL');
    await worker.start();
  };
  goesOn('the compute worker is killed', () => restarted(stage.compute));
  test('the compute worker was killed before it began: it begins when the worker is back', async () => {
    const volume = keep(await stage.attached());
    await stage.compute.signal('SIGKILL');
    const handle = await stage.migrate(volume.id);
    await poll(async () => (await stage.state(handle)).phase === 'preparing');
    await stage.compute.start();
    assert.equal(await stage.outcome(handle), 'success');
    await stage.assertAt(volume, server2, 'success');
  });
  goesOn('libvirtd dies and comes back', async () => {
    await stage.hypervisor.libvirt.crash();
    await stage.hypervisor.libvirt.restart();
  });
  goesOn('Temporal dies and comes back', async () => {
    await stage.system.temporal.crash();
    await stage.system.temporal.restart();
  });
  goesOn('Postgres dies and comes back', async () => {
    await stage.system.postgres.crash();
    await stage.system.postgres.restart();
  });
  goesOn("the destination's export dies: anew, and", async () => {
    process.kill(await stage.serverOf(server2, /volume-/), 'SIGKILL');
  });
  goesOn("the source's export dies: the guest stops, is resumed when it is back, and", async () => {
    process.kill(await stage.serverOf(server1, /volume-/), 'SIGKILL');
  });

  for (const [what, harm] of [
    ['is destroyed', () => stage.hypervisor.virsh('destroy', '--domain', stage.guest.name)],
    ['is shut off', () => stage.guest.powerOff()],
    ['crashes', async () => process.kill((await findQemuProcess({ name: stage.guest.name, uuid: null }))!, 'SIGKILL')],
  ] as const) {
    test(`the guest ${what}: the migration goes back, and the guest starts from the source`, async () => {
      const { volume, handle } = await midMirror();
      await harm();
      assert.equal(await stage.outcome(handle), 'InstanceNotReady');
      await stage.guest.start();
      await stage.guest.console.progress(volume.device, 5);
      await stage.assertAt(volume, server1, 'error');
    });
  }
});

test('its workflow and its compute worker are gone in mid-mirror: an operator tells the repair where the guest is', async () => {
  const schedule = stage.client.schedule.getHandle(reconcileSchedule);
  await schedule.pause();
  const { volume, handle } = await midMirror();
  await stage.compute.signal('SIGKILL');
  await handle.terminate('an operator was in a hurry');
  const refused = await stage.refused('migration', 'resolve', volume.id, 'probe');
  assert.equal(refused.type, 'ParkedForOperator');
  assert.match(refused.message, /nothing was deleted/);
  assert.equal((await stage.volume(volume.id)).migrationStatus, 'migrating');
  await stage.ferry('migration', 'resolve', volume.id, 'source');
  await stage.compute.start();
  await stage.assertAt(volume, server1, 'error');
  assert.equal((await stage.refused('migration', 'resolve', volume.id, 'source')).type, 'NotMigrating');
  await schedule.unpause();
});

describe('around the pivot', () => {
  for (const [who, harm] of [
    ['the compute worker', () => stage.compute],
    ['the control worker', () => stage.system.control],
  ] as const) {
    test(`${who} is killed: the migration goes forward`, async () => {
      const { volume, handle } = await midMirror();
      await stage.hurry(handle);
      await poll(async () => ['switching', 'cleaning-up', 'finished'].includes((await stage.state(handle)).phase));
      await harm().signal('SIGKILL');
      await harm().start();
      assert.equal(await stage.outcome(handle), 'success');
      await stage.assertAt(volume, server2, 'success');
    });
  }

  test('a guest that was powered off after the migration starts from the new place', async () => {
    const volume = keep(await stage.attached());
    assert.equal(await stage.outcome(await stage.migrate(volume.id)), 'success');
    await stage.guest.powerOff();
    await stage.guest.start();
    await stage.guest.console.progress(volume.device, 5);
    await stage.assertAt(volume, server2, 'success');
  });
});

describe('what cannot be done is refused before anything is made', () => {
  test('a migration while the guest is off', async () => {
    const volume = keep(await stage.attached());
    await stage.guest.powerOff();
    const refused = await stage.outcome(await stage.migrate(volume.id));
    await stage.guest.start();
    assert.equal(refused, 'InstanceNotReady');
    await stage.guest.console.progress(volume.device, 5);
    await stage.assertAt(volume, server1, null);
  });

  test('an attach to an instance that the hypervisor does not have', async () => {
    const id = await stage.create();
    assert.equal((await stage.refused('attach', id, 'vm-none', 'hv1')).type, 'InstanceNotFound');
    assert.equal((await stage.volume(id)).status, 'available');
    await stage.ferry('delete', id);
  });

  test('the migration of a volume on a hypervisor without a compute worker', async () => {
    const id = await stage.create();
    await stage.ferry('attach', id, 'vm-9', 'hv9');
    assert.equal(await stage.outcome(await stage.migrate(id)), 'InstanceNotReady');
    await stage.ferry('detach', id);
    await stage.ferry('delete', id);
  });
});
