import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { operationWorkflowId, reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { attachedTests } from './attached-tests.ts';
import { forgetEnds, forgetHistory } from './forget-ends.ts';
import { backUpRegistry } from './registry-backup.ts';
import { server1, server2 } from './stage.ts';

const on = attachedTests();

describe('a registry that has forgotten what became of attachments', () => {
  let kept = '';
  let left = '';
  let again = '';
  let told: RepairReport;
  const statusOf = async (id: string) => (await on.stage.volume(id)).status;

  before(async () => {
    const { stage } = on;
    const guest = stage.guest.name;
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
    [kept, left] = [await stage.create(), await stage.create()];
    again = (await stage.attached()).id;
    const { backup } = await forgetEnds(stage.system, (args) => stage.system.ferry(...args, '--json'), [
      ['attach', kept, guest, 'hv1'],
      ['attach', left, guest, 'hv1'],
      ['detach', again],
    ]);
    // What came after that is not known either.
    await stage.ferry('detach', left);
    await stage.ferry('attach', again, guest, 'hv1');
    for (const id of [kept, again]) await stage.guest.console.progress(await deviceOf(id), 5);
    await backup.restore();
    await stage.system.untilUp();
    told = await stage.ferry<RepairReport>('repair', '--orphan-grace', '0');
    await stage.ferry('repair', '--orphan-grace', '0');
  });

  const deviceOf = async (id: string) => {
    const xml = await on.stage.hypervisor.virsh('dumpxml', '--domain', on.stage.guest.name);
    const own = xml.split('<disk ').find((part) => part.includes(`<serial>${id}</serial>`)) ?? '';
    return /<target dev='(\w+)'/.exec(own)?.[1] ?? '';
  };

  test('a guest that was given the disk keeps it', async () => {
    assert.match(noteOf(kept), /has ended well/);
    assert.equal(await statusOf(kept), 'in-use');
    await on.stage.guest.console.progress(await deviceOf(kept), 5);
    await on.stage.ferry('detach', kept);
    assert.equal(await statusOf(kept), 'available');
  });

  test('one that has let go of it since does not have it', async () => {
    assert.equal(await deviceOf(left), '');
    assert.equal(await statusOf(left), 'available');
  });

  test('one that has it again is not cut off, and nobody else gets the volume', async () => {
    await on.stage.guest.console.progress(await deviceOf(again), 5);
    assert.equal(await statusOf(again), 'in-use');
    assert.notEqual((await on.stage.refused('attach', again, 'another', 'elsewhere')).type, '');
    assert.equal((await on.stage.volume(again)).host, server1);
    // The attachment that the registry knows is not the one by which the guest has it: told, and for an operator to end.
    const device = await deviceOf(again);
    const { type, message } = await on.stage.refused('detach', again);
    assert.deepEqual([type, /is on .*attachment-\S+, and volume/.test(message)], ['InstanceNotReady', true], message);
    const { guest, hypervisor } = on.stage;
    await hypervisor.virsh('detach-disk', '--domain', guest.name, '--target', device, '--live', '--config');
    await guest.console.gone(device);
    await on.stage.ferry('detach', again);
    assert.equal(await statusOf(again), 'available');
  });

  test('one whose attach Temporal does not know any more keeps the disk until an operator takes it out', async () => {
    const { stage } = on;
    const { guest, hypervisor } = stage;
    const id = await stage.create();
    const { backup } = await forgetEnds(stage.system, (args) => stage.system.ferry(...args, '--json'), [
      ['attach', id, guest.name, 'hv1'],
    ]);
    await backup.restore();
    await stage.system.untilUp();
    await forgetHistory(stage.client, operationWorkflowId('attach', id));
    const look = async () =>
      (await stage.ferry<RepairReport>('repair')).operations.find(({ volumeId }) => volumeId === id);
    const held = await look();
    assert.equal(held?.state, 'failed');
    assert.match(held.note ?? '', /instance vm-1 has the disk/);
    const device = await deviceOf(id);
    await guest.console.progress(device, 5);
    await hypervisor.virsh('detach-disk', '--domain', guest.name, '--target', device, '--live', '--config');
    await guest.console.gone(device);
    assert.equal((await look())?.state, 'repaired');
    assert.equal(await statusOf(id), 'available');
  });

  test('a guest whose disk has moved onto its own hypervisor since has it by its path, says the registry then', async () => {
    const { stage } = on;
    const volume = await stage.attached('server1');
    const move = async (destination: string) =>
      assert.equal(await stage.outcome(await stage.migrate(volume.id, { destination })), 'success');
    await move(server2);
    const backup = await backUpRegistry(stage.system);
    await move(server1);
    await backup.restore();
    await stage.system.untilUp();
    const { volumes } = await stage.ferry<RepairReport>('repair');
    assert.equal(volumes.find(({ volumeId }) => volumeId === volume.id)?.state, 'repaired');
    const { connection } = await stage.attachment(volume.id);
    assert.deepEqual(
      [connection?.['protocol'], connection?.['backEnd'], connection?.['exportName']],
      ['local', server1, undefined],
    );
    await stage.guest.console.progress(volume.device, 5);
    await stage.ferry('detach', volume.id);
    assert.equal(await statusOf(volume.id), 'available');
    await stage.ferry('repair');
    assert.equal((await stage.volume(volume.id)).host, server1);
  });

  const noteOf = (id: string) => told.operations.find(({ volumeId }) => volumeId === id)?.note ?? '';
});
