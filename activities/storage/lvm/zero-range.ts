import { FerryError } from '../../../model/errors.ts';
import { workingOn } from '../activity-work.ts';
import { zeroInChunks } from '../zero-in-chunks.ts';
import type { VolumeGroupCommands } from './volume-group.ts';
import type { LogicalVolume, ThinPool } from './report.ts';

/** One request to zero: small enough that a cancel, which waits for the request under way, is heard soon. */
const zeroStepBytes = 256 * 1024 ** 2;

interface Span {
  readonly offset: number;
  readonly end: number;
}

/** All bytes from `offset` to `end`, to zero, on the medium. */
export async function zeroFrom(
  group: VolumeGroupCommands,
  found: Pick<LogicalVolume, 'name' | 'path'>,
  span: Span,
): Promise<void> {
  await discard(group, found, ['--zeroout', '--step', String(zeroStepBytes)], span);
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
  if (!discards || from >= to) return zeroFrom(group, found, { offset, end: sizeBytes });
  if (offset < from) await zeroFrom(group, found, { offset, end: from });
  await discard(group, found, [], { offset: from, end: to }, chunkBytes);
  if (to < sizeBytes) await zeroFrom(group, found, { offset: to, end: sizeBytes });
}

async function discard(
  group: VolumeGroupCommands,
  { name, path }: Pick<LogicalVolume, 'name' | 'path'>,
  options: readonly string[],
  { offset: from, end: to }: Span,
  unit = 512,
): Promise<void> {
  const one = async ({ offset, length }: { offset: number; length: number }) => {
    const where = ['--offset', String(offset), '--length', String(length)];
    // Opens exclusively: one that an earlier worker left behind and that still runs makes this one fail.
    await group.run(['blkdiscard', ...options, ...where, '--', path], { timeoutMs: 0 });
    return true;
  };
  try {
    await workingOn(to - from, (tell) => zeroInChunks({ from, to, unit }, one, (upTo) => tell(upTo - from)));
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
