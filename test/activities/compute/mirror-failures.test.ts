import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { saveSource } from '../../../activities/compute/saved-definition.ts';
import { activityContext, type Guest, Hypervisor } from './hypervisor.ts';
import { assertFailure, eventually, MovingDisk } from './moving-disk.ts';

describe('a mirror that goes wrong', { timeout: 1_800_000 }, () => {
  let hypervisor: Hypervisor;
  let guest: Guest;

  before(async () => {
    hypervisor = await Hypervisor.start();
    guest = await hypervisor.guest('suffers');
  });
  after(() => hypervisor?.stop());

  it('leaves the guest on the source when it is aborted in mid-copy', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { ended } = await disk.mirrorUnderWay();
    await disk.abort();
    assertFailure(await ended, 'MirrorFailed');
    assert.equal(await disk.stands(), 'not-started');
    await disk.abort();
    await assert.rejects(disk.pivot(), { type: 'MirrorFailed' });
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  it('fails when the destination dies, and can be begun again', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { ended } = await disk.mirrorUnderWay();
    await disk.volume.destination.kill();
    assertFailure(await ended, 'MirrorFailed');
    await disk.assertWholeOn(disk.volume.source);
    await assert.rejects(disk.mirror(), { type: 'MirrorFailed' });
    await disk.volume.destination.serve();
    assert.equal((await disk.mirror()).ready, true);
    await disk.pivot();
    await disk.assertWholeOn(disk.volume.destination);
    await disk.detach();
  });

  it('is not begun on a destination of another size', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest, { sizeMib: 32, destinationBytes: 48 * 2 ** 20 });
    await assert.rejects(disk.mirror(), { type: 'MirrorFailed' });
    assert.equal(await disk.stands(), 'not-started');
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  it('is taken over by the next worker when its own is lost', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    // Nobody tells the first one: it is as good as dead, and the mirror runs all the same.
    const { cancel } = await disk.mirrorUnderWay();
    assert.equal((await disk.mirror(null)).ready, true);
    cancel();
    // The worker is lost again, after it has told libvirt to pivot.
    await disk.pivot();
    assert.deepEqual(await disk.pivot(activityContext({ begun: true })), { device: disk.device });
    await disk.assertWholeOn(disk.volume.destination);
    await disk.detach();
  });

  it('goes on while libvirtd is dead, and is pivoted by the next one', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { ended } = await disk.mirrorUnderWay();
    await hypervisor.libvirt.crash();
    assertFailure(await ended, 'ServiceUnreachable');
    assert.equal(await disk.stands(), 'libvirtd-down');
    await assert.rejects(disk.abort(), { type: 'ServiceUnreachable' });
    await hypervisor.libvirt.restart();
    assert.equal((await disk.mirror(null)).ready, true);
    await disk.pivot();
    await disk.assertWholeOn(disk.volume.destination);
    await disk.detach();
  });

  it('is ended without the guest standing still when the destination hangs', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { ended } = await disk.mirrorUnderWay();
    disk.volume.destination.hang();
    await disk.abort();
    assertFailure(await ended, 'MirrorFailed');
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  it('comes to a known end when the destination hangs at the pivot', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    assert.equal((await disk.mirror()).ready, true);
    disk.volume.destination.hang();
    const pivoted = await disk.pivot().then(
      () => true,
      () => false,
    );
    await disk.volume.destination.kill();
    await disk.volume.destination.serve();
    await eventually(
      async () =>
        (await hypervisor.run(hypervisor.activities.resumeAfterIoError, { instance: guest.name })) === 'running',
    );
    const stands = await disk.stands();
    assert.equal(stands, pivoted ? 'done' : 'not-started');
    await disk.assertWholeOn(pivoted ? disk.volume.destination : disk.volume.source);
    await disk.detach();
  });

  it('is found done although the definition still names the source, and that is put right', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    await disk.mirror();
    await disk.pivot();
    const { instance } = disk.move;
    for (const askedFor of [() => disk.pivot(), () => assert.rejects(disk.abort(), { type: 'PastPointOfNoReturn' })]) {
      await saveSource(hypervisor.virsh, { ...disk.move, domain: await guest.uuid() }, disk.device, disk.move.source);
      assert.equal(await disk.stands(), 'done-but-saved-xml-is-old');
      await askedFor();
      assert.equal(await disk.stands(), 'done');
      assert.match(
        await hypervisor.virsh('dumpxml', '--domain', instance, '--inactive'),
        new RegExp(disk.volume.destination.exportName),
      );
    }
    await disk.detach();
  });

  it('ends with a guest that is turned off, which starts again on the source', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { ended } = await disk.mirrorUnderWay();
    await guest.powerOff();
    assertFailure(await ended, 'InstanceNotReady');
    assert.equal(await disk.stands(), 'off-on-source');
    await disk.abort();
    await assert.rejects(disk.pivot(), { type: 'InstanceNotReady' });
    await assert.rejects(disk.pivot(activityContext({ begun: true })), { type: 'ParkedForOperator' });
    await guest.start();
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  // The last one: the guest is lost to libvirt from here on.
  it('is parked when libvirtd dies so that it loses the running guest', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { cancel, ended } = await disk.mirrorUnderWay();
    cancel();
    await ended;
    disk.volume.destination.hang();
    // Not as `abortMirror` does it: an abort that does not cut the connection first hangs, and libvirt notes what it cannot read again.
    await hypervisor.virsh('blockjob', '--domain', guest.name, '--path', disk.device, '--abort', '--async');
    await sleep(1000);
    await hypervisor.libvirt.crash();
    await disk.volume.destination.kill();
    await hypervisor.libvirt.restart();
    assert.equal(await disk.stands(), 'park');
    await assert.rejects(disk.mirror(), { type: 'ParkedForOperator' });
    await assert.rejects(disk.pivot(), { type: 'ParkedForOperator' });
    await assert.rejects(disk.abort(), { type: 'ParkedForOperator' });
    await assert.rejects(guest.detach(disk.volume), { type: 'ParkedForOperator' });
    await guest.console.progress(disk.device, 5);
  });
});
