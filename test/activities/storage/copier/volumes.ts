import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { execa } from 'execa';
import { cleanUp } from './cleanup.ts';

export const mib = 1024 * 1024;

export async function scratchFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'ferry-copier-'));
  cleanUp(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

export type Content = 'data' | 'zeros' | 'hole';

/** A file of the given pieces one after another; zeros are written, a hole is not. */
export async function writeVolume(file: string, pieces: readonly (readonly [Content, number])[]): Promise<number> {
  const handle = await open(file, 'w');
  try {
    let offset = 0;
    for (const [content, length] of pieces) {
      const written = content === 'hole' ? 0 : length;
      for (let done = 0; done < written; done += mib) {
        const part = Math.min(mib, length - done);
        await handle.write(content === 'data' ? randomBytes(part) : Buffer.alloc(part), 0, part, offset + done);
      }
      offset += length;
    }
    await handle.truncate(offset);
    await handle.sync();
    return offset;
  } finally {
    await handle.close();
  }
}

/** A mix in which blocks, cells and ranges are cut in all ways: two and a half ranges. */
export const mixture: readonly (readonly [Content, number])[] = [
  ['data', 3 * mib + 4096],
  ['hole', 5 * mib],
  ['zeros', 2 * mib + 512 * 1024],
  ['data', 70 * mib],
  ['hole', 40 * mib + 8192],
  ['data', 4096],
  ['hole', 100 * 1024],
  ['data', 12 * 1024],
  ['zeros', 20 * mib],
  ['hole', 3 * mib],
  ['data', mib],
  ['hole', 16 * mib - 24 * 1024],
];

/** Throws, with the first differing byte, unless both hold the same. */
export async function assertSame(a: string, b: string): Promise<void> {
  await execa('cmp', ['--', a, b], { env: { LC_ALL: 'C' } });
}

/** A block device on a file; it goes with the test. */
export async function loopDevice(t: TestContext, file: string): Promise<string> {
  const { stdout } = await execa('losetup', ['--find', '--show', '--', file]);
  cleanUp(t, () => execa('losetup', ['--detach', stdout]));
  return stdout;
}

/** A file system of which Ferry knows nothing: a layer over the test's folder, which has a medium, or memory alone. */
export async function strangeFileSystem(t: TestContext, kind: 'overlay' | 'ramfs'): Promise<string> {
  const folder = await scratchFolder(t);
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => path.join(folder, name));
  for (const each of [lower, upper, work, merged]) await mkdir(each!);
  const layers = ['-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`];
  await execa('mount', ['-t', kind, ...(kind === 'overlay' ? layers : []), 'ferry-test', merged!]);
  cleanUp(t, () => execa('umount', [merged!]));
  return merged!;
}

/** Puts a program of that name before the real one, for this process and its children; the script is for /bin/sh, and goes with the test. */
export async function replaceProgram(t: TestContext, folder: string, name: string, script: string): Promise<void> {
  const bin = path.join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const before = process.env['PATH'];
  process.env['PATH'] = `${bin}:${before}`;
  cleanUp(t, () => (process.env['PATH'] = before));
}

/** A file system in memory that holds no more than `bytes`. */
export async function smallFileSystem(t: TestContext, bytes: number): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'ferry-small-'));
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'ferry-test', folder]);
  cleanUp(t, async () => {
    await execa('umount', [folder]);
    await rm(folder, { recursive: true });
  });
  return folder;
}
