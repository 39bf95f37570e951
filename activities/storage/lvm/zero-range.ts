import { FerryError } from '../../../model/errors.ts';
import type { VolumeGroupCommands } from './volume-group.ts';
import type { LogicalVolume, ThinPool } from './report.ts';

/** One request to zero: small enough that a cancel, which waits for the request under way, is heard soon. */
const zeroStepBytes = 256 * 1024 ** 2;

/** All bytes from `offset` on, or only up to `end`, to zero, on the medium. */
export async function zeroFrom(
  group: VolumeGroupCommands,
  { name, path }: Pick<LogicalVolume, 'name' | 'path'>,
  offset: number,
  end?: number,
): Promise<void> {
  const range = [
    ...(offset === 0 ? [] : ['--offset', String(offset)]),
    ...(end === undefined ? [] : ['--length', String(end - offset)]),
  ];
  await discard(group, { name, path }, ['--zeroout', '--step', String(zeroStepBytes), ...range]);
}

/**
 * The same for a thin volume of `sizeBytes`: what was mapped there (its volume was larger once) goes back to the pool, and no zeros are
 * written but in a chunk that is only partly meant.
 */
export async function unmapFrom(
  group: VolumeGroupCommands,
  found: Pick<LogicalVolume, 'name' | 'path'>,
  range: { offset: number; sizeBytes: number },
  { chunkBytes, discards }: Pick<ThinPool, 'chunkBytes' | 'discards'>,
): Promise<void> {
  const { offset, sizeBytes } = range;
  const from = Math.ceil(offset / chunkBytes) * chunkBytes;
  const to = Math.floor(sizeBytes / chunkBytes) * chunkBytes;
  if (!discards || from >= to) return zeroFrom(group, found, offset);
  if (offset < from) await zeroFrom(group, found, offset, from);
  await discard(group, found, ['--offset', String(from), '--length', String(to - from)]);
  if (to < sizeBytes) await zeroFrom(group, found, to);
}

async function discard(
  group: VolumeGroupCommands,
  { name, path }: Pick<LogicalVolume, 'name' | 'path'>,
  options: readonly string[],
): Promise<void> {
  try {
    // Opens exclusively: one that an earlier worker left behind and that still runs makes this one fail.
    await group.run(['blkdiscard', ...options, '--', path], { timeoutMs: 0 });
  } catch (error) {
    if (!(await group.volume(name))?.open) throw error;
    throw new FerryError(
      'DeviceInUse',
      `${path} cannot be zeroed: it is open elsewhere, maybe an earlier attempt still zeroes it`,
      { name },
      { cause: error },
    );
  }
  await group.run(['sync', '--', path], { timeoutMs: 0 });
}
