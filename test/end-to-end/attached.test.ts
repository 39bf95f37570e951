import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { messages } from '../../model/messages.ts';
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

async function midMirror() {
  const { volume, handle } = await stage.midMirror();
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
