import assert from 'node:assert/strict';
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { openersOf, type OpenedFile } from '../../../activities/storage/open-descriptors.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-openers-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function file(): Promise<OpenedFile> {
  const path = join(folder, 'with spaces; and more');
  await writeFile(path, 'bytes');
  return { path, stat: await stat(path, { bigint: true }) };
}

/** What the look tells where no process but its own can be seen, as in another container. */
async function seenFromNamespace(opened: OpenedFile): Promise<unknown> {
  const module = join(import.meta.dirname, '../../../activities/storage/open-descriptors.ts');
  const {
    path,
    stat: { dev, ino },
  } = opened;
  const script = `
    import { openersOf } from ${JSON.stringify(module)};
    const found = await openersOf({ path: ${JSON.stringify(path)}, stat: { dev: ${dev}n, ino: ${ino}n } });
    console.log(JSON.stringify(found));`;
  const own = process.getuid?.() === 0 ? [] : ['--user', '--map-current-user', '--keep-caps'];
  const node = [process.execPath, '--input-type=module', '-e', script];
  const { stdout } = await execa('unshare', [...own, '--pid', '--fork', '--mount-proc', '--', ...node]);
  return JSON.parse(stdout);
}

describe('who has a file open', () => {
  test('nobody', async () => {
    assert.deepEqual(await openersOf(await file()), { descriptors: [], unseen: false });
  });

  for (const flags of ['r', 'r+']) {
    test(`who opened it with ${flags} is told by process and descriptor`, async () => {
      const opened = await file();
      await using handle = await open(opened.path, flags);
      const descriptors = [{ pid: String(process.pid), fd: String(handle.fd) }];
      assert.deepEqual(await openersOf(opened), { descriptors, unseen: false });
    });
  }

  test('another file, or one that took its name, is not it', async () => {
    const opened = await file();
    await rm(opened.path);
    await writeFile(join(folder, 'other'), '');
    await writeFile(opened.path, '');
    await using _ = await open(opened.path);
    const other = await stat(join(folder, 'other'), { bigint: true });
    assert.deepEqual(await openersOf({ path: opened.path, stat: other }), { descriptors: [], unseen: false });
  });

  test('one of whom the kernel knows and no descriptor is to be seen', async () => {
    const opened = await file();
    assert.deepEqual(await seenFromNamespace(opened), { descriptors: [], unseen: false });
    await using _ = await open(opened.path);
    assert.deepEqual(await seenFromNamespace(opened), { descriptors: [], unseen: true });
  });
});
