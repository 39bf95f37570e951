// node digest-device.ts PATH [GiB]: prints a digest of all that a device shows, or of its first GiB. Run on the node that has it.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { alignedMemory } from '../../activities/storage/copier/aligned-buffers.ts';
import { dataExtents } from '../../testbed/data-extents.ts';

/** What is digested at once, with its offset. The same for every device, so that digests can be compared. Bytes. */
const chunkBytes = 1024 ** 2;
/** What is read at once: in a guest, each system call is dear. Bytes. */
const readBytes = 8 * chunkBytes;

/**
 * A digest of a device's bytes, or of its first ones. Most of them are zeros: where those are is told by where the rest is. `direct`: from the medium,
 * past the page cache.
 */
export async function digestDevice(path: string, { bytes = Infinity, direct = false } = {}): Promise<string> {
  await using device = await open(path, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0));
  const hash = createHash('sha256');
  const buffer = alignedMemory(readBytes);
  const zeros = new Uint8Array(chunkBytes);
  const stat = await device.stat();
  const end = Math.min(stat.isFile() ? stat.size : Infinity, bytes);
  // Holes need not be read; what a device has none of is read to its end.
  const extents = stat.isFile() ? await dataExtents(path, end, chunkBytes) : ([[0, end]] as const);
  let seen = stat.isFile() ? end : 0;
  for (const [from, to] of extents) {
    for (let offset = from; offset < to;) {
      const { bytesRead } = await device.read(buffer, 0, Math.min(readBytes, to - offset), offset);
      if (bytesRead === 0) break;
      for (let at = 0; at < bytesRead; at += chunkBytes) {
        const chunk = Buffer.from(buffer.buffer, at, Math.min(chunkBytes, bytesRead - at));
        if (!chunk.equals(zeros.subarray(0, chunk.length))) hash.update(`${offset + at}:`).update(chunk);
      }
      offset += bytesRead;
      seen = Math.max(seen, offset);
    }
  }
  return hash.update(`${seen} bytes`).digest('hex');
}

const [path, gib] = process.argv.slice(2);
if (import.meta.main && path !== undefined)
  console.log(await digestDevice(path, { direct: true, ...(gib ? { bytes: Number(gib) * 1024 ** 3 } : {}) }));
