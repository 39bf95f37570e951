import { open } from 'node:fs/promises';
import { dataExtents } from '../../testbed/data-extents.ts';
import { slotBytes, slotOffset, slots } from './scenario.ts';

const mib = 1024 ** 2;
const zeros = Buffer.alloc(mib);
/** What a device writes as a whole. Bytes. */
const pageBytes = 4096;

/** The bytes that every page of a slot may have: one, unless a write to it came to no clear end. */
export type Bytes = readonly ReadonlySet<number>[];

export const blank: Bytes = Array.from({ length: slots }, () => new Set([0]));

/** `bytes` after a write to a slot; one of which it is not known how far it came leaves the old ones possible. */
export function written(bytes: Bytes, slot: number, byte: number, isCertain: boolean): Bytes {
  return bytes.map((known, n) => (n === slot ? new Set(isCertain ? [byte] : [...known, byte]) : known));
}

/** What in a file is not as it may be; empty when all is well. Sizes are in GiB. */
export async function wrongBytes(path: string, bytes: Bytes, sizes: ReadonlySet<number>): Promise<string[]> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const wrong = sizes.has(size / 1024 ** 3) ? [] : [`it has ${size} bytes, not ${[...sizes].join(' or ')} GiB`];
  const buffer = Buffer.alloc(mib);
  const offsets = new Set(Array.from({ length: slots }, (_, n) => slotOffset(n)).filter((offset) => offset < size));
  for (const [from, to] of await dataExtents(path, size, mib)) for (let at = from; at < to; at += mib) offsets.add(at);
  for (const offset of [...offsets].toSorted((a, b) => a - b)) {
    const { bytesRead } = await file.read(buffer, 0, mib, offset);
    const slot = Array.from({ length: slots }, (_, n) => n).find((n) => slotOffset(n) === offset);
    if (slot === undefined) {
      if (!buffer.equals(zeros)) wrong.push(`bytes at ${offset} that nobody wrote`);
      continue;
    }
    for (let page = 0; page < Math.min(bytesRead, slotBytes); page += pageBytes) {
      const first = buffer[page]!;
      const isWhole = buffer.subarray(page, page + pageBytes).every((byte) => byte === first);
      if (isWhole && bytes[slot]!.has(first)) continue;
      wrong.push(`at ${offset + page}: ${isWhole ? first : 'a torn page'}, not ${[...bytes[slot]!].join(' or ')}`);
      break;
    }
  }
  return wrong;
}
