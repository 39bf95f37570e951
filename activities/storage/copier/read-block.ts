import type { FileHandle } from 'node:fs/promises';
import { FerryError } from '../../../model/errors.ts';

/** Fills `block` from the device. Not all of it there, or not readable: `DestinationWriteFailed` with the offset. */
export async function readBlock(file: FileHandle, path: string, block: Uint8Array, offset: number): Promise<void> {
  const unreadable = (why: string, cause?: unknown) =>
    new FerryError(
      'DestinationWriteFailed',
      `${path} cannot be read back at byte ${offset}: ${why}`,
      { path, offset },
      { cause },
    );
  for (let done = 0; done < block.length;) {
    const { bytesRead } = await file.read(block, done, block.length - done, offset + done).catch((error: Error) => {
      throw unreadable(error.message, error);
    });
    if (bytesRead === 0) throw unreadable('it ends there');
    done += bytesRead;
  }
}
