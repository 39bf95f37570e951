import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { CopyProgress } from '../../../model/migration.ts';
import { readRecords } from '../../../testbed/guest/records.ts';
import type { ExportedImage } from './exported-image.ts';
import { type Guest, Hypervisor, type TestVolume } from './hypervisor.ts';

describe('the disk of a running guest', { timeout: 300_000 }, () => {
  let hypervisor: Hypervisor;
  let guest: Guest;

  before(async () => {
    hypervisor = await Hypervisor.start();
    guest = await hypervisor.guest('guest1');
  });
  after(() => hypervisor?.stop());

  const mirror = (volume: TestVolume, bandwidth: number | null = null, context = new MockActivityEnvironment()) =>
    hypervisor.run(hypervisor.activities.mirrorDisk, { ...guest.move(volume), bandwidth }, context);
  const pivot = (volume: TestVolume) => hypervisor.run(hypervisor.activities.pivotDisk, guest.move(volume));
  const abort = (volume: TestVolume) => hypervisor.run(hypervisor.activities.abortMirror, guest.move(volume));
  const stands = async (volume: TestVolume) => (await hypervisor.run(hypervisor.activities.probeDisk, guest.move(volume))).kind;

  /** Starts a mirror slow enough to be met in the middle, and returns when it is under way. */
  async function mirrorUnderWay(volume: TestVolume): Promise<{ ended: Promise<unknown>; cancel: () => void }> {
    const context = new MockActivityEnvironment();
    const ended = mirror(volume, 2 ** 20, context).then(
      (value) => value,
      (error: unknown) => error,
    );
    for (let tries = 0; (await stands(volume)) !== 'copying'; tries += 1) assert.ok(tries < 100, 'the mirror does not begin');
    return { ended, cancel: () => context.cancel() };
  }

  async function assertWhole(image: ExportedImage, acked: number): Promise<void> {
    const found = await guest.recordsOf(image);
    assert.equal(found.torn, 0);
    assert.deepEqual(found.missing, []);
    assert.ok(found.highest >= acked, `record ${acked} was acknowledged, ${found.highest} is the last one there`);
  }

  async function assertNoErrors(device: string): Promise<void> {
    const report = await guest.console.report();
    assert.equal(report.disks.get(device)?.errors, 0);
    assert.deepEqual(report.kernelErrors, []);
  }

  it('moves while the guest writes, without a gap, and the definition follows', async () => {
    const volume = await hypervisor.volume();
    const device = await guest.attach(volume);
    const input = { instance: 'guest1', volumeId: volume.volumeId, source: volume.source.source, sizeBytes: volume.sizeBytes };
    assert.deepEqual(await hypervisor.run(hypervisor.activities.inspectDisk, input), { device, sizeBytes: volume.sizeBytes });
    const context = new MockActivityEnvironment();
    const beats: CopyProgress[] = [];
    context.on('heartbeat', (beat: CopyProgress | undefined) => beat && beats.push(beat));
    const reached = await mirror(volume, 8 * 2 ** 20, context);
    assert.equal(reached.ready, true);
    assert.ok(beats.length > 0 && beats.every(({ position, totalBytes }) => position <= totalBytes));
    assert.equal(await stands(volume), 'ready');
    assert.deepEqual(await pivot(volume), { device });
    assert.equal(await stands(volume), 'done');
    assert.deepEqual(await pivot(volume), { device }, 'a repeated pivot finds it done');

    const atPivot = (await readRecords(volume.source.path)).highest;
    const acked = await guest.console.progress(device, 20);
    await assertWhole(volume.destination, acked);
    const source = await readRecords(volume.source.path);
    assert.deepEqual(source.missing, [], 'the source is whole up to the pivot');
    assert.equal(source.highest, atPivot, 'nothing is written to the source after the pivot');
    assert.ok(atPivot < acked);
    await assertNoErrors(device);
    const definition = await hypervisor.virsh('dumpxml', '--domain', 'guest1', '--inactive');
    assert.match(definition, new RegExp(volume.destination.exportName));
    assert.doesNotMatch(definition, new RegExp(volume.source.exportName));
    assert.match(definition, /error_policy='stop' rerror_policy='stop'/);
    await assert.rejects(abort(volume), { type: 'PastPointOfNoReturn' });
    await guest.detach(volume);
    await guest.console.gone(device);
    await guest.detach(volume);
  });

  it('stays on the source when the mirror is aborted in mid-copy', async () => {
    const volume = await hypervisor.volume();
    const device = await guest.attach(volume);
    const { ended } = await mirrorUnderWay(volume);
    await abort(volume);
    assert.partialDeepStrictEqual(await ended, { type: 'MirrorFailed' });
    assert.equal(await stands(volume), 'not-started');
    await abort(volume);
    await assertWhole(volume.source, await guest.console.progress(device, 5));
    await assertNoErrors(device);
    await guest.detach(volume);
  });
});
