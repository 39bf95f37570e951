import { FerryError } from '../../model/errors.ts';
import { alignedMemory } from './copier/aligned-buffers.ts';
import { inspectDevice } from './copier/block-device.ts';
import { openDevice } from './copier/open-device.ts';
import { readBlock } from './copier/read-block.ts';

/** What any device can be asked for past the page cache. */
const endBytes = 4096;

/** Throws unless both ends of the device can be read from its medium: `NotProven`, `DeviceMissing` or `SizeMismatch`. */
export async function readEnds(path: string, sizeBytes: number): Promise<void> {
  const facts = await inspectDevice(path, sizeBytes);
  const length = Math.min(endBytes, sizeBytes);
  const block = alignedMemory(endBytes).subarray(0, length);
  try {
    const { file } = await openDevice(facts, 'read');
    try {
      await readBlock(file, path, block, 0);
      await readBlock(file, path, block, sizeBytes - length);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new FerryError(
      'NotProven',
      `${path} cannot be read: ${(error as Error).message}`,
      { path },
      { cause: error },
    );
  }
}
