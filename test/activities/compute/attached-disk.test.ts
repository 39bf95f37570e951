import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { unmap } from '../../../activities/storage/copier/unmap.ts';
import { resumeStoppedGuests } from '../../../activities/compute/resume-guest.ts';
import { copyStart, type CopyProgress } from '../../../model/migration.ts';
import { readRecords } from '../../../testbed/guest/records.ts';
import { makeCertificates } from '../../../testbed/certificates.ts';
import { digestDevice } from '../../end-to-end/digest-device.ts';
import { activityContext, type Guest, Hypervisor } from './hypervisor.ts';
import { eventually, MovingDisk } from './moving-disk.ts';

describe('the disk of a running guest', { timeout: 1_800_000 }, () => {
  let hypervisor: Hypervisor;
  let guest: Guest;
  let certificates: string;

  before(async () => {
    const made = await makeCertificates(await mkdtemp(join(tmpdir(), 'ferry-certificates-')));
    certificates = made.directory;
    hypervisor = await Hypervisor.start({ tlsFolder: certificates });
    guest = await hypervisor.guest('moves');
  });
  after(async () => {
    await hypervisor?.stop();
    await rm(certificates, { recursive: true, force: true });
  });

  const definition = () => hypervisor.virsh('dumpxml', '--domain', guest.name, '--inactive');

  it('moves while the guest writes, without a gap, and the definition follows', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volume, device } = disk;
    const context = activityContext();
    const beats: CopyProgress[] = [];
    context.on('heartbeat', (beat: CopyProgress | undefined) => beat && beats.push(beat));

    assert.equal((await disk.mirror(8 * 2 ** 20, context)).ready, true);
    assert.ok(beats.length > 0 && beats.every(({ position, totalBytes }) => position <= totalBytes));
    assert.equal(await disk.stands(), 'ready');
    assert.deepEqual(await disk.pivot(), { device });
    assert.equal(await disk.stands(), 'done');

    const atPivot = (await readRecords(volume.source.path)).highest;
    await disk.assertWholeOn(volume.destination);
    const source = await readRecords(volume.source.path);
    assert.deepEqual(source.missing, [], 'the source is whole up to the pivot');
    assert.equal(source.highest, atPivot, 'nothing is written to the source after the pivot');
    assert.ok(atPivot < (await guest.console.disk(device)).acked);
    assert.match(await definition(), new RegExp(volume.destination.exportName));
    assert.doesNotMatch(await definition(), new RegExp(volume.source.exportName));
    assert.match(await definition(), /error_policy='stop' rerror_policy='stop'/);

    assert.deepEqual(await disk.pivot(), { device }, 'a repeated pivot finds it done');
    await assert.rejects(disk.abort(), { type: 'PastPointOfNoReturn' });
    await disk.detach();
    await guest.detach(volume);
    assert.doesNotMatch(await definition(), new RegExp(volume.volumeId));
  });

  it('is held: nothing is written to the destination, and its zeros can be unmapped, until the mirror goes on', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volumeId, sizeBytes, destination } = disk.volume;
    const hold = () => hypervisor.run(hypervisor.activities.holdMirror, { instance: guest.name, volumeId });
    assert.equal(await hold(), null, 'no mirror');
    await disk.mirror();

    const rest = await hold();
    assert.ok(rest);
    const before = await digestDevice(destination.path);
    const { acked } = await guest.console.disk(disk.device);
    assert.ok((await guest.console.progress(disk.device, 20)) > acked);
    const unless = join(certificates, 'unmapped');
    const job = { kind: 'unmap', device: { path: destination.path, sizeBytes }, from: copyStart, unless } as const;
    const { finished } = await unmap(job, { signal: new AbortController().signal, onProgress: () => {} });
    assert.ok(finished);
    assert.equal(await digestDevice(destination.path), before);
    assert.deepEqual(await hold(), rest);

    assert.equal((await disk.mirror()).ready, true);
    const later = await hold();
    assert.ok(later && later.job === rest.job && later.bytesDone > rest.bytesDone, 'what it wrote meanwhile shows');
    assert.equal((await disk.mirror()).ready, true);
    await disk.pivot();
    await disk.assertWholeOn(destination);
    await disk.detach();
  });

  it('has its mirror ended also while that rests, in mid-copy and when it is ready', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volumeId, source } = disk.volume;
    const pause = () => hypervisor.run(hypervisor.activities.pauseMirror, { instance: guest.name, volumeId });
    const underWay = await disk.mirrorUnderWay();
    underWay.cancel();
    await underWay.ended;
    await pause();
    await disk.abort();
    assert.equal(await disk.stands(), 'not-started');
    await disk.mirror();
    await pause();
    await disk.abort();
    assert.equal(await disk.stands(), 'not-started');
    await disk.assertWholeOn(source);
    await disk.detach();
  });

  it('is attached once however often that is asked, and never from two places', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volumeId, source, destination } = disk.volume;
    const input = { instance: guest.name, volumeId, device: null, mode: 'rw' as const };
    assert.deepEqual(await hypervisor.run(hypervisor.activities.attachDisk, { ...input, source: source.source }), {
      device: disk.device,
      domain: await guest.uuid(),
    });
    await assert.rejects(hypervisor.run(hypervisor.activities.attachDisk, { ...input, source: destination.source }), {
      type: 'InstanceNotReady',
    });
    const other = {
      ...input,
      volumeId: '00000000-0000-4000-8000-000000000000',
      source: destination.source,
      device: disk.device,
    };
    await assert.rejects(hypervisor.run(hypervisor.activities.attachDisk, other), { type: 'InstanceNotReady' });
    await disk.detach();
  });

  it('moves to an export that asks for a certificate', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest, { tlsFolder: certificates });
    assert.equal((await disk.mirror()).ready, true);
    await disk.pivot();
    assert.equal(await disk.stands(), 'done');
    await disk.assertWholeOn(disk.volume.destination);
    await disk.detach();
  });

  it('moves beside another disk of the same guest', async () => {
    const disks = [await MovingDisk.attach(hypervisor, guest), await MovingDisk.attach(hypervisor, guest)];
    assert.deepEqual(
      (await Promise.all(disks.map((disk) => disk.mirror()))).map(({ ready }) => ready),
      [true, true],
    );
    await Promise.all(disks.map((disk) => disk.pivot()));
    for (const disk of disks) await disk.assertWholeOn(disk.volume.destination);
    for (const disk of disks) await disk.detach();
  });

  it('is mirrored at another speed from one moment to the next, and rests when told to', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { instance, volumeId } = disk.move;
    const first = await disk.mirrorUnderWay();
    first.cancel();
    assert.equal(await first.ended, null, 'a cancelled stretch is no failure');
    await hypervisor.run(hypervisor.activities.pauseMirror, { instance, volumeId });
    const resting = await hypervisor.run(hypervisor.activities.probeDisk, disk.move);
    assert.partialDeepStrictEqual(resting, { kind: 'copying', position: { paused: true } });
    const goesOn = disk.mirror(2 ** 20);
    await eventually(async () => {
      const stands = await hypervisor.run(hypervisor.activities.probeDisk, disk.move);
      return stands.kind === 'copying' && stands.position.speed === 2 ** 20 && !stands.position.paused;
    });
    await hypervisor.run(hypervisor.activities.setMirrorBandwidth, { instance, volumeId, bandwidth: null });
    assert.equal((await goesOn).ready, true);
    await assert.rejects(guest.detach(disk.volume), { type: 'InstanceNotReady' });
    await disk.abort();
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  it('waits for its storage without an error when the export goes away', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    await disk.volume.source.kill();
    const runs = () => hypervisor.run(hypervisor.activities.resumeAfterIoError, { instance: guest.name });
    await eventually(async () => (await runs()) === 'paused-by-io-error');
    await disk.volume.source.serve();
    await eventually(async () => (await runs()) === 'running');
    await disk.assertWholeOn(disk.volume.source);

    await disk.volume.source.kill();
    await eventually(async () => (await hypervisor.virsh('list', '--state-paused', '--name')).includes(guest.name));
    assert.deepEqual(await resumeStoppedGuests(hypervisor.virsh), []);
    await disk.volume.source.serve();
    await eventually(async () => (await resumeStoppedGuests(hypervisor.virsh)).includes(guest.name));
    await disk.assertWholeOn(disk.volume.source);

    await hypervisor.virsh('suspend', '--domain', guest.name);
    assert.equal(await runs(), 'paused-by-somebody');
    assert.deepEqual(await resumeStoppedGuests(hypervisor.virsh), [], 'who was paused on purpose stays so');
    await hypervisor.virsh('resume', '--domain', guest.name);
    await disk.detach();
  });

  it('is refused before anything is made when it cannot be mirrored', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volume, device } = disk;
    const input = {
      instance: guest.name,
      volumeId: volume.volumeId,
      source: volume.source.source,
      sizeBytes: volume.sizeBytes,
    };
    const inspect = (change: Partial<typeof input>) =>
      hypervisor.run(hypervisor.activities.inspectDisk, { ...input, ...change });
    assert.deepEqual(await inspect({}), { device, sizeBytes: volume.sizeBytes });
    await assert.rejects(inspect({ instance: 'nobody' }), { type: 'InstanceNotFound' });
    await assert.rejects(inspect({ volumeId: '00000000-0000-4000-8000-000000000000' }), { type: 'AttachmentNotFound' });
    await assert.rejects(inspect({ sizeBytes: volume.sizeBytes * 2 }), { type: 'SizeMismatch' });
    await assert.rejects(inspect({ source: volume.destination.source }), { type: 'InstanceNotReady' });
    await disk.detach();
  });
});
