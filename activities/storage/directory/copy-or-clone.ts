import type { BigIntStats } from 'node:fs';
import { deviceInUse } from '../refusals.ts';
import { exitCodeOf, runCommand } from '../run-command.ts';
import { isOpen } from './open-files.ts';

interface Original {
  readonly name: string;
  readonly path: string;
  readonly stat: BigIntStats;
}

/**
 * Gives `file` the bytes that the original has at one moment. A file system that shares blocks (XFS, Btrfs) does that at once, also
 * while the original is written to. Any other one copies what is no hole, and as that takes a while, only a file that nobody has
 * open: else `DeviceInUse`.
 */
export async function copyOrClone({ name, path, stat }: Original, file: string): Promise<void> {
  try {
    await runCommand(['cp', '--reflink=always', '--', path, file]);
    return;
  } catch (error) {
    if (exitCodeOf(error) !== 1) throw error;
    if (await isOpen({ path, stat })) throw deviceInUse(path, name, error);
  }
  await runCommand(['cp', '--reflink=never', '--sparse=always', '--', path, file], { timeoutMs: 0 });
}
