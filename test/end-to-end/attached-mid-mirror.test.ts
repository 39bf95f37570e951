import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findQemuProcess } from '../../activities/compute/qemu-process.ts';
import { reconcileSchedule } from '../../model/names.ts';
import { attachedTests } from './attached-tests.ts';
import { poll, server1, server2 } from './stage.ts';

const on = attachedTests();
const { keep, midMirror } = on;

/** By its uuid: a test beside this one may have a guest of that name. */
async function pidOfGuest(): Promise<number> {
  const { name } = on.stage.guest;
  const uuid = (await on.stage.hypervisor.virsh('domuuid', '--domain', name)).trim();
  return (await findQemuProcess({ name, uuid }))!;
}

describe('in mid-mirror', () => {
  const goesOn = (what: string, harm: () => Promise<unknown>): void => {
    test(`${what}: the mirror goes on`, async () => {
      const { volume, handle } = await midMirror();
      await harm();
      await on.stage.hurry(handle);
      assert.equal(await on.stage.outcome(handle), 'success');
      await on.stage.assertAt(volume, server2, 'success');
    });
  };

  const restarted = async (worker: { signal(s: 'SIGKILL'): Promise<void>; start(): Promise<void> }) => {
    await worker.signal('SIGKILL');
    await worker.start();
  };
  goesOn('the compute worker is killed', () => restarted(on.stage.compute));
  test('the compute worker was killed before it began: it begins when the worker is back', async () => {
    const volume = keep(await on.stage.attached());
    await on.stage.compute.signal('SIGKILL');
    const handle = await on.stage.migrate(volume.id);
    await poll(async () => (await on.stage.state(handle)).phase === 'preparing');
    await on.stage.compute.start();
    assert.equal(await on.stage.outcome(handle), 'success');
    await on.stage.assertAt(volume, server2, 'success');
  });
  goesOn('libvirtd dies and comes back', async () => {
    await on.stage.hypervisor.libvirt.crash();
    await on.stage.hypervisor.libvirt.restart();
  });
  goesOn('Temporal dies and comes back', async () => {
    await on.stage.system.temporal.crash();
    await on.stage.system.temporal.restart();
  });
  goesOn('Postgres dies and comes back', async () => {
    await on.stage.system.postgres.crash();
    await on.stage.system.postgres.restart();
  });
  goesOn("the destination's export dies: anew, and", async () => {
    process.kill(await on.stage.serverOf(server2, /volume-/), 'SIGKILL');
  });
  goesOn("the source's export dies: the guest stops, is resumed when it is back, and", async () => {
    process.kill(await on.stage.serverOf(server1, /volume-/), 'SIGKILL');
  });

  for (const [what, harm] of [
    ['is destroyed', () => on.stage.hypervisor.virsh('destroy', '--domain', on.stage.guest.name)],
    ['is shut off', () => on.stage.guest.powerOff()],
    ['crashes', async () => process.kill(await pidOfGuest(), 'SIGKILL')],
  ] as const) {
    test(`the guest ${what}: the migration goes back, and the guest starts from the source`, async () => {
      const { volume, handle } = await midMirror();
      await harm();
      assert.equal(await on.stage.outcome(handle), 'InstanceNotReady');
      await on.stage.guest.start();
      await on.stage.guest.console.progress(volume.device, 5);
      await on.stage.assertAt(volume, server1, 'error');
    });
  }
});

test('its workflow and its compute worker are gone in mid-mirror: an operator tells the repair where the guest is', async () => {
  const schedule = on.stage.client.schedule.getHandle(reconcileSchedule);
  await schedule.pause();
  const { volume, handle } = await midMirror();
  await on.stage.compute.signal('SIGKILL');
  await handle.terminate('an operator was in a hurry');
  const refused = await on.stage.refused('migration', 'resolve', volume.id, 'probe');
  assert.equal(refused.type, 'ParkedForOperator');
  assert.match(refused.message, /nothing was deleted/);
  assert.equal((await on.stage.volume(volume.id)).migrationStatus, 'migrating');
  await on.stage.ferry('migration', 'resolve', volume.id, 'source');
  await on.stage.compute.start();
  await on.stage.assertAt(volume, server1, 'error');
  assert.equal((await on.stage.refused('migration', 'resolve', volume.id, 'source')).type, 'NotMigrating');
  await schedule.unpause();
});
