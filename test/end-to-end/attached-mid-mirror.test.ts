import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { findQemuProcess } from '../../activities/compute/qemu-process.ts';
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

async function midMirror() {
  const { volume, handle } = await stage.midMirror();
  return { volume: keep(volume), handle };
}

/** By its uuid: a test beside this one may have a guest of that name. */
async function pidOfGuest(): Promise<number> {
  const { name } = stage.guest;
  const uuid = (await stage.hypervisor.virsh('domuuid', '--domain', name)).trim();
  return (await findQemuProcess({ name, uuid }))!;
}

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
    ['crashes', async () => process.kill(await pidOfGuest(), 'SIGKILL')],
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
