import assert from 'node:assert/strict';
import { open, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { rangeBytes } from '../../../../activities/storage/copier/geometry.ts';
import { copier, copyJob, digestJob, undisturbed } from './jobs.ts';
import { nbdkit, ownServer, qemuNbd, type SourceServer } from './source-server.ts';
import {
  assertSame,
  loopDevice,
  mib,
  mixture,
  scratchFolder,
  smallFileSystem,
  writeVolume,
  type Content,
} from './volumes.ts';

type Pieces = readonly (readonly [Content, number])[];
const contents: Record<string, Pieces> = {
  'random data': [['data', 96 * mib]],
  'a mixture of data, zeros and holes': mixture,
  'written zeros only': [['zeros', 96 * mib]],
  'one hole': [['hole', 96 * mib]],
  'less than a block': [['data', 12 * 1024]],
  'a size that O_DIRECT refuses': [
    ['data', 2 * mib],
    ['hole', 3 * mib + 512],
  ],
};

const servers: Record<string, (t: test.TestContext, file: string) => Promise<SourceServer>> = {
  'qemu-nbd': qemuNbd,
  'our own server': ownServer,
  nbdkit,
};

for (const [what, pieces] of Object.entries(contents)) {
  for (const [server, serve] of Object.entries(servers)) {
    test(`${what} from ${server} arrives on a fresh file, and both ends have the same digest`, async (t) => {
      const folder = await scratchFolder(t);
      const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
      const sizeBytes = await writeVolume(from, pieces);
      await writeVolume(to, [['hole', sizeBytes]]);
      const { address } = await serve(t, from);
      const c = copier(t);
      const copied = await c.run(copyJob(address, to, sizeBytes), undisturbed);
      assert.equal(copied.finished, true);
      assert.equal(copied.checkpoint.offset, sizeBytes);
      await assertSame(from, to);
      for (const file of [from, to]) {
        const digested = await c.run(digestJob(file, sizeBytes), undisturbed);
        assert.equal(digested.checkpoint.chain, copied.checkpoint.chain);
      }
    });
  }
}

test('zeros take no room on a fresh file, and holes are not sent', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, [
    ['data', mib],
    ['zeros', 30 * mib],
    ['hole', 60 * mib],
    ['data', mib],
  ]);
  await writeVolume(to, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const { checkpoint } = await copier(t).run(copyJob(address, to, sizeBytes), undisturbed);
  assert.equal(checkpoint.transferred, 32 * mib);
  assert.ok((await stat(to)).blocks * 512 < 4 * mib);
});

test('old data on a file never shows where the source has zeros or holes', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [['data', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const job = copyJob(address, to, sizeBytes, { destination: { path: to, sizeBytes, readsZero: false } });
  const { checkpoint } = await copier(t).run(job, undisturbed);
  assert.equal(checkpoint.zeroed, true);
  await assertSame(from, to);
});

test('old data on a block device never shows, and the device itself makes the zeros', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [['data', sizeBytes]]);
  // A device tells no holes: all of it is read, and zeros are found by looking.
  const { address } = await qemuNbd(t, await loopDevice(t, from));
  const device = await loopDevice(t, to);
  const c = copier(t);
  const job = copyJob(address, device, sizeBytes, { destination: { path: device, sizeBytes, readsZero: false } });
  const { checkpoint } = await c.run(job, undisturbed);
  assert.equal(checkpoint.zeroed, true);
  await assertSame(from, device);
  const digested = await c.run(digestJob(device, sizeBytes), undisturbed);
  assert.equal(digested.checkpoint.chain, checkpoint.chain);
});

test('where a device cannot be zeroed as a whole any more, zeros are written like data', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [['data', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const destination = { path: to, sizeBytes, readsZero: false };
  const start = { offset: rangeBytes, chain: '', zeroed: false, transferred: 0 };
  const head = await open(to, 'r+');
  const source = await open(from, 'r');
  const first = Buffer.alloc(rangeBytes);
  await source.read(first, 0, rangeBytes, 0);
  await head.write(first, 0, rangeBytes, 0);
  await Promise.all([head.close(), source.close()]);
  const { checkpoint } = await copier(t).run(
    copyJob(address, to, sizeBytes, { destination, from: start, digest: false }),
    undisturbed,
  );
  assert.equal(checkpoint.zeroed, false);
  await assertSame(from, to);
});

test('a file in memory, which has no medium to go to past the cache, is written all the same', async (t) => {
  const folder = await scratchFolder(t);
  const small = await smallFileSystem(t, 256 * mib);
  const [from, to] = [path.join(folder, 'from'), path.join(small, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [['data', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const job = copyJob(address, to, sizeBytes, { destination: { path: to, sizeBytes, readsZero: false } });
  await copier(t).run(job, undisturbed);
  await assertSame(from, to);
});

test('a copy without a digest has none, and needs none to go on', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, [['data', 4 * mib]]);
  await writeVolume(to, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const { checkpoint } = await copier(t).run(copyJob(address, to, sizeBytes, { digest: false }), undisturbed);
  assert.equal(checkpoint.chain, '');
});

test('a digest tells a single differing byte', async (t) => {
  const folder = await scratchFolder(t);
  const file = path.join(folder, 'file');
  const sizeBytes = await writeVolume(file, [
    ['data', 2 * mib],
    ['hole', 90 * mib],
  ]);
  const c = copier(t);
  const before = await c.run(digestJob(file, sizeBytes), undisturbed);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.from([1]), 0, 1, 91 * mib + 5);
  await handle.close();
  const after = await c.run(digestJob(file, sizeBytes), undisturbed);
  assert.notEqual(after.checkpoint.chain, before.checkpoint.chain);
});

test('sizes that differ are refused before a byte is written', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, [['data', 4 * mib]]);
  await writeVolume(to, [['hole', 8 * mib]]);
  const { address } = await qemuNbd(t, from);
  const c = copier(t);
  await assert.rejects(c.run(copyJob(address, to, sizeBytes), undisturbed), {
    type: 'SizeMismatch',
    message: /to has 8388608 bytes/,
  });
  await assert.rejects(c.run(copyJob(address, to, 8 * mib), undisturbed), {
    type: 'SizeMismatch',
    message: /export has 4194304 bytes/,
  });
  await assert.rejects(c.run(digestJob(to, sizeBytes), undisturbed), { type: 'SizeMismatch' });
  await truncate(to, sizeBytes);
  const missing = path.join(folder, 'missing');
  await assert.rejects(c.run(copyJob(address, missing, sizeBytes), undisturbed), { type: 'DeviceMissing' });
});

test('a checkpoint that cannot be one is refused', async (t) => {
  const folder = await scratchFolder(t);
  const to = path.join(folder, 'to');
  await writeVolume(to, [['hole', 128 * mib]]);
  const c = copier(t);
  const from = (change: object) =>
    digestJob(to, 128 * mib, {
      from: { offset: rangeBytes, chain: 'ab'.repeat(32), zeroed: false, transferred: 0, ...change },
    });
  for (const change of [{ offset: 5 }, { offset: 256 * mib }, { chain: '' }, { chain: 'nonsense' }, { offset: 0 }]) {
    await assert.rejects(c.run(from(change), undisturbed), { type: 'InvalidInput' });
  }
});
