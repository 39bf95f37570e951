import { FerryError } from '../../../model/errors.ts';
import type { VolumeGroupCommands } from './volume-group.ts';
import type { LogicalVolume } from './report.ts';

/** One request to zero: small enough that a cancel, which waits for the request under way, is heard soon. */
const zeroStepBytes = 256 * 1024 ** 2;

/** All bytes from `offset` on to zero, on the medium. */
export async function zeroFrom(
  group: VolumeGroupCommands,
  { name, path }: LogicalVolume,
  offset: number,
): Promise<void> {
  try {
    // Opens exclusively: one that an earlier worker left behind and that still runs makes this one fail.
    const range = offset === 0 ? [] : ['--offset', String(offset)];
    await group.run(['blkdiscard', '--zeroout', '--step', String(zeroStepBytes), ...range, '--', path], {
      timeoutMs: 0,
    });
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
