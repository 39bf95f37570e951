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

/** A part of a device: so many bytes of a file from an offset on. All are multiples of a chunk. */
export interface Stretch {
  from: number;
  bytes: number;
}

/**
 * A digest of a device's bytes, or of its first ones. Most of them are zeros: where those are is told by where the rest is. `direct`: from the medium,
 * past the page cache.
 */
export async function digestDevice(path: string, { bytes = Infinity, direct = false } = {}): Promise<string> {
  await using device = await open(path, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0));
  const stat = await device.stat();
  if (stat.isFile()) return digestStretches(path, [{ from: 0, bytes: Math.min(stat.size, bytes) }]);
  const digest = new Digest();
  const buffer = alignedMemory(readBytes);
  let offset = 0;
  for (;;) {
    const wanted = Math.min(readBytes, bytes - offset);
    const { bytesRead } = wanted > 0 ? await device.read(buffer, 0, wanted, offset) : { bytesRead: 0 };
    if (bytesRead === 0) return digest.end(offset);
    digest.add(offset, Buffer.from(buffer.buffer, 0, bytesRead));
    offset += bytesRead;
  }
}

/** The same of a device whose bytes are in stretches of a regular file; the file's holes need not be read. */
export async function digestStretches(path: string, stretches: readonly Stretch[]): Promise<string> {
  await using file = await open(path);
  const digest = new Digest();
  const buffer = alignedMemory(readBytes);
  const data = await dataExtents(path, (await file.stat()).size, chunkBytes);
  let start = 0;
  for (const { from, bytes } of stretches) {
    for (const extent of data) {
      const end = Math.min(extent[1], from + bytes);
      for (let at = Math.max(extent[0], from); at < end;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(readBytes, end - at), at);
        if (bytesRead === 0) throw new Error(`${path} ends at ${at}`);
        digest.add(start + at - from, Buffer.from(buffer.buffer, 0, bytesRead));
        at += bytesRead;
      }
    }
    start += bytes;
  }
  return digest.end(start);
}

class Digest {
  readonly #hash = createHash('sha256');
  readonly #zeros = Buffer.alloc(chunkBytes);

  /** `bytes` are at `offset`, which is a multiple of a chunk. */
  add(offset: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes);
      if (!chunk.equals(this.#zeros.subarray(0, chunk.length))) this.#hash.update(`${offset + at}:`).update(chunk);
    }
  }

  end(bytes: number): string {
    return this.#hash.update(`${bytes} bytes`).digest('hex');
  }
}

const [path, gib] = process.argv.slice(2);
if (import.meta.main && path !== undefined)
  console.log(await digestDevice(path, { direct: true, ...(gib ? { bytes: Number(gib) * 1024 ** 3 } : {}) }));
