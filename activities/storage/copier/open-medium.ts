import { execFile } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Checkpoint } from '../../../model/migration.ts';
import { fileSystemOf } from '../file-system.ts';
import type { DeviceFacts } from './block-device.ts';
import { openDevice } from './open-device.ts';

export type Medium = NonNullable<Checkpoint['medium']>;

const run = promisify(execFile);

/** Opens a device to be read back, so that its bytes come from the medium, as far as that can be had; and tells how far. */
export async function openMedium(facts: DeviceFacts): Promise<{ file: FileHandle; medium: Medium }> {
  const { file, isDirect } = await openDevice(facts, 'read');
  if (facts.kind === 'block') return { file, medium: isDirect ? 'direct' : 'cache' };
  try {
    const { readsDirect, hasMedium } = await fileSystemOf(facts.path);
    if (isDirect && readsDirect) return { file, medium: 'direct' };
    return { file, medium: hasMedium && (await dropCache(file, facts.path)) ? 'dropped' : 'cache' };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The weaker of two: what was read in part by each. */
export function weaker(a: Medium | undefined, b: Medium): Medium {
  const order: readonly Medium[] = ['cache', 'dropped', 'direct'];
  return order.find((each) => each === a || each === b)!;
}

/** Has the kernel forget the file's pages, which Node cannot ask it for. Whether none is left is looked at: it need not obey. */
async function dropCache(file: FileHandle, path: string): Promise<boolean> {
  const options = { env: { ...process.env, LC_ALL: 'C' } };
  // Dirty pages stay.
  await file.sync();
  try {
    await run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'], options);
    const left = await run('fincore', ['--bytes', '--raw', '--noheadings', '--output', 'RES', '--', path], options);
    return left.stdout.trim() === '0';
  } catch {
    // Without the tools nobody knows.
    return false;
  }
}
