import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findNodeKernel } from '../../setup/node-kernel.mjs';

test('nodes have the kernel that was fetched, and the installed one where there is none', async (t) => {
  const cache = await mkdtemp(join(tmpdir(), 'ferry-cache-'));
  const before = process.env['XDG_CACHE_HOME'];
  process.env['XDG_CACHE_HOME'] = cache;
  t.after(async () => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    await rm(cache, { recursive: true, force: true });
  });
  assert.notEqual(findNodeKernel()?.isOld, false);

  const folder = join(cache, 'ferry/node-kernel-forky-1');
  await mkdir(folder, { recursive: true });
  // One without its program is half removed, and is not taken.
  assert.notEqual(findNodeKernel()?.isOld, false);
  await writeFile(join(folder, 'linux.uml'), '', { mode: 0o755 });
  assert.deepEqual(findNodeKernel(), {
    program: './linux.uml',
    folder,
    env: { LD_LIBRARY_PATH: folder },
    modules: join(folder, 'modules'),
    isOld: false,
  });
});
