import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../../model/errors.ts';
import type { DeviceFacts } from './block-device.ts';
import { directAlignment } from './geometry.ts';

/** How long another's exclusive claim may last: a leftover tool's on its way out, not a mount. Milliseconds. */
const patience = 5_000;

/**
 * Opens past the page cache, so that what is read back comes from the medium and what is written leaves no dirty pages.
 * Where the file system cannot (or the size is odd) through the cache; a flush is then all the more what counts.
 */
export async function openDevice(
  facts: DeviceFacts,
  mode: 'read' | 'write',
): Promise<{ file: FileHandle; isDirect: boolean }> {
  const access = mode === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
  // On a block device this is the kernel's own claim: mounted or claimed by another, it refuses.
  const exclusive = mode === 'write' && facts.kind === 'block' ? constants.O_EXCL : 0;
  const deadline = performance.now() + patience;
  let direct = facts.sizeBytes % directAlignment === 0 ? constants.O_DIRECT : 0;
  for (;;) {
    try {
      return { file: await open(facts.path, access | exclusive | direct), isDirect: direct !== 0 };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EINVAL' && direct) {
        direct = 0;
      } else if (code === 'EBUSY' && performance.now() < deadline) {
        await sleep(50);
      } else if (code === 'EBUSY') {
        throw new FerryError(
          'DeviceInUse',
          `${facts.path} is mounted or claimed by another program`,
          { path: facts.path },
          { cause: error },
        );
      } else {
        throw new FerryError(
          'DestinationWriteFailed',
          `${facts.path} cannot be opened: ${message}`,
          { path: facts.path },
          { cause: error },
        );
      }
    }
  }
}
