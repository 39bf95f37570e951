import assert from 'node:assert/strict';
import { chmod, mkdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ownCompileCache } from '../../../activities/storage/own-compile-cache.ts';
import { scratchFolder } from './copier/volumes.ts';

test('what Node has compiled is kept where nobody else may look or write', async (t) => {
  const folder = await scratchFolder(t);
  const state = join(folder, 'not', 'there', 'yet');
  const cache = await ownCompileCache(state);
  assert.equal(cache, join(state, 'compiled'));
  assert.equal((await stat(cache)).mode & 0o777, 0o700);
  assert.equal(await ownCompileCache(state), cache);
});

for (const [where, name, mode] of [
  ['in it', 'state/compiled', 0o777],
  ['in the state folder', 'state', 0o770],
  ['above the state folder', '.', 0o777],
] as const)
  test(`nothing compiled is kept where others may write ${where}`, async (t) => {
    const folder = join(await scratchFolder(t), 'above');
    await mkdir(join(folder, 'state', 'compiled'), { recursive: true, mode: 0o700 });
    await chmod(join(folder, name), mode);
    assert.equal(await ownCompileCache(join(folder, 'state')), null);
    await chmod(join(folder, name), 0o700);
    assert.notEqual(await ownCompileCache(join(folder, 'state')), null);
  });

test('a link to where others may write is seen through', async (t) => {
  const folder = await scratchFolder(t);
  await mkdir(join(folder, 'open', 'compiled'), { recursive: true, mode: 0o700 });
  await chmod(join(folder, 'open'), 0o777);
  await mkdir(join(folder, 'state'), { mode: 0o700 });
  await symlink(join(folder, 'open', 'compiled'), join(folder, 'state', 'compiled'));
  assert.equal(await ownCompileCache(join(folder, 'state')), null);
});

test('a state folder that cannot be made is no reason to fail', async () => {
  assert.equal(await ownCompileCache('/dev/null/none'), null);
});
