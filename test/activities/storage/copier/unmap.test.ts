import assert from 'node:assert/strict';
import { access, copyFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type TestContext } from 'node:test';
import { inspectDevice } from '../../../../activities/storage/copier/block-device.ts';
import { lockDevice } from '../../../../activities/storage/copier/device-lock.ts';
import { endUnmapping } from '../../../../activities/storage/copier/end-unmapping.ts';
import type { UnmapJob } from '../../../../activities/storage/copy-job.ts';
import { copyStart } from '../../../../model/migration.ts';
import { copierProcesses } from './copier-processes.ts';
import { copier, undisturbed } from './jobs.ts';
import { assertSame, loopDevice, mib, mixture, scratchFolder, writeVolume } from './volumes.ts';

/** A device of the mixture with all of its holes written as zeros, and the same bytes in another file. */
async function prepare(t: TestContext, kind: 'file' | 'block') {
  const folder = await scratchFolder(t);
  const [file, same] = [path.join(folder, 'volume'), path.join(folder, 'same')];
  const written = mixture.map(([content, length]) => [content === 'hole' ? 'zeros' : content, length] as const);
  const sizeBytes = await writeVolume(file, written);
  await copyFile(file, same);
  const device = { path: kind === 'file' ? file : await loopDevice(t, file), sizeBytes };
  const unless = path.join(folder, 'marks', 'volume.1');
  const job: UnmapJob = { kind: 'unmap', device, from: copyStart, unless };
  return { job, same, unless, taken: async () => (await stat(file)).blocks * 512 };
}

for (const kind of ['file', 'block'] as const)
  test(`the zeros of a ${kind} give their room back, where they fill whole blocks; its bytes stay`, async (t) => {
    const { job, same, taken } = await prepare(t, kind);
    const before = await taken();
    const { finished, checkpoint } = await copier(t).run(job, undisturbed);
    assert.deepEqual([finished, checkpoint.offset], [true, job.device.sizeBytes]);
    await assertSame(job.device.path, same);
    // 91 MiB of zeros are in pieces of 7.5, 40, 16 and 23 MiB; what is left of those at their edges is less than two blocks each.
    assert.ok(before - (await taken()) >= 75 * mib, `${before} before, ${await taken()} after`);
    assert.equal((await copier(t).run(job, undisturbed)).finished, true);
    await assertSame(job.device.path, same);
  });

test('goes on from where an earlier try was', async (t) => {
  const { job, same, taken } = await prepare(t, 'file');
  const before = await taken();
  await copier(t).run({ ...job, from: { ...copyStart, offset: 128 * mib } }, undisturbed);
  await assertSame(job.device.path, same);
  assert.ok(before - (await taken()) < 50 * mib);
});

test('once it is ended nothing is unmapped, however late it comes', async (t) => {
  const { job, unless, taken } = await prepare(t, 'file');
  const before = await taken();
  await endUnmapping(job.device, unless);
  await endUnmapping(job.device, unless);
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'NotOwned' });
  assert.equal(await taken(), before);
  await writeFile(unless.replace('.1', '.2'), '');
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'NotOwned' });
});

test('its end ends one that is suspended, and waits for whoever has the device', async (t) => {
  const { job, unless, taken } = await prepare(t, 'file');
  const before = await taken();
  const busy = copier(t);
  const children = new Set(copierProcesses(process.pid).map(({ pid }) => pid));
  // Suspended before its first byte is unmapped: all that could start are.
  for (const pid of children) process.kill(pid, 'SIGSTOP');
  // Awaited from here on: it may be ended while its end is still being waited for.
  const refused = assert.rejects(
    busy.run(job, undisturbed),
    ({ type }: { type?: string }) => type === 'NotOwned' || type === 'ToolFailed',
  );
  await sleep(300);
  await endUnmapping(job.device, unless);
  for (const pid of children) process.kill(pid, 'SIGCONT');
  await refused;
  assert.equal(await taken(), before);
});

test("a device that is somebody else's is not taken from them", async (t) => {
  const { job, unless } = await prepare(t, 'file');
  const { identity } = await inspectDevice(job.device.path, job.device.sizeBytes);
  const lock = await lockDevice(identity);
  try {
    await assert.rejects(endUnmapping(job.device, unless), { type: 'DeviceInUse' });
    await assert.rejects(access(unless));
  } finally {
    lock.release();
  }
});
