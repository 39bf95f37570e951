import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { weaker } from '../../../../activities/storage/copier/open-medium.ts';
import { copier, copyJob, digestJob, undisturbed } from './jobs.ts';
import { qemuNbd } from './source-server.ts';
import {
  loopDevice,
  mib,
  replaceProgram,
  scratchFolder,
  smallFileSystem,
  strangeFileSystem,
  writeVolume,
  type Content,
} from './volumes.ts';

const pieces: readonly (readonly [Content, number])[] = [
  ['data', 2 * mib],
  ['hole', 6 * mib],
];

/** Where files of volumes may be, and what is then known of what is read there. */
const places = {
  'ext4, XFS or Btrfs': { folder: scratchFolder, medium: 'direct', holes: true },
  'a file system that Ferry does not know': {
    folder: (t: test.TestContext) => strangeFileSystem(t, 'overlay'),
    medium: 'dropped',
    holes: false,
  },
  'one that keeps all in memory': {
    folder: (t: test.TestContext) => strangeFileSystem(t, 'ramfs'),
    medium: 'cache',
    holes: false,
  },
  tmpfs: { folder: (t: test.TestContext) => smallFileSystem(t, 64 * mib), medium: 'cache', holes: true },
} as const;

for (const [what, { folder, medium, holes }] of Object.entries(places)) {
  describe(`on ${what}`, () => {
    test(`a digest says that it read from: ${medium}`, async (t) => {
      const file = path.join(await folder(t), 'volume');
      const sizeBytes = await writeVolume(file, pieces);
      const { checkpoint } = await copier(t).run(digestJob(file, sizeBytes), undisturbed);
      assert.equal(checkpoint.medium, medium);
    });

    test(`what it tells of holes is ${holes ? 'believed' : 'not believed'} by a digest`, async (t) => {
      const at = await folder(t);
      const scratch = await scratchFolder(t);
      const sizeBytes = await writeVolume(path.join(at, 'volume'), pieces);
      const empty = path.join(scratch, 'empty');
      await writeVolume(empty, [['hole', sizeBytes]]);
      const nothing = await copier(t).run(digestJob(empty, sizeBytes), undisturbed);
      // A liar: all is a hole.
      const lie = `[{"start":0,"length":${sizeBytes},"depth":0,"zero":true,"data":false}]`;
      await replaceProgram(t, scratch, 'qemu-img', `echo '${lie}'`);
      const { checkpoint } = await copier(t).run(digestJob(path.join(at, 'volume'), sizeBytes), undisturbed);
      assert.equal(checkpoint.chain === nothing.checkpoint.chain, holes);
    });

    test(`... and by a copy of this node`, async (t) => {
      const file = path.join(await folder(t), 'volume');
      const to = path.join(await scratchFolder(t), 'to');
      const sizeBytes = await writeVolume(file, pieces);
      await writeVolume(to, [['hole', sizeBytes]]);
      const job = { ...copyJob({} as never, to, sizeBytes), source: { devicePath: file } };
      const { checkpoint } = await copier(t).run(job, undisturbed);
      // Nothing of ramfs is sparse for whoever asks it; all of it is read either way.
      assert.equal(checkpoint.transferred, holes ? 2 * mib : sizeBytes);
    });
  });
}

test('holes that an export tells of are believed only when its node says so', async (t) => {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, pieces);
  await writeVolume(to, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  for (const holes of [true, false, undefined]) {
    const { checkpoint } = await copier(t).run(copyJob({ ...address, holes }, to, sizeBytes), undisturbed);
    assert.equal(checkpoint.transferred, holes ? 2 * mib : sizeBytes, String(holes));
  }
});

test('a block device is read from its medium', async (t) => {
  const file = path.join(await scratchFolder(t), 'disk');
  const sizeBytes = await writeVolume(file, pieces);
  const { checkpoint } = await copier(t).run(digestJob(await loopDevice(t, file), sizeBytes), undisturbed);
  assert.equal(checkpoint.medium, 'direct');
});

test('without O_DIRECT what is in memory is dropped first; without the tools for that it is said', async (t) => {
  const folder = await scratchFolder(t);
  const file = path.join(folder, 'volume');
  const sizeBytes = (await writeVolume(file, pieces)) + 512;
  await truncate(file, sizeBytes);
  const read = async () => (await copier(t).run(digestJob(file, sizeBytes), undisturbed)).checkpoint.medium;
  assert.equal(await read(), 'dropped');
  await replaceProgram(t, folder, 'fincore', 'exit 127');
  assert.equal(await read(), 'cache');
});

test('what was read in part from memory is not told as read from the medium', async (t) => {
  const file = path.join(await scratchFolder(t), 'volume');
  const sizeBytes = await writeVolume(file, pieces);
  const from = { ...digestJob(file, sizeBytes).from, medium: 'cache' } as const;
  const { checkpoint } = await copier(t).run(digestJob(file, sizeBytes, { from }), undisturbed);
  assert.equal(checkpoint.medium, 'cache');
  assert.equal(weaker(undefined, 'direct'), 'direct');
  assert.equal(weaker('dropped', 'direct'), 'dropped');
  assert.equal(weaker('dropped', 'cache'), 'cache');
});
