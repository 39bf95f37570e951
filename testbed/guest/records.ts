import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { dataExtents } from '../data-extents.ts';

const recordBytes = 4096;
const recordMagic = Buffer.from('FRRECRD1', 'latin1');
const zeros = Buffer.alloc(recordBytes);

const fillerMagic = Buffer.from('FRFILLER', 'latin1');

/** What an image holds of the records that a guest's record-writer wrote. */
export interface RecordsFound {
  /** The highest number, 0 when there is no record. */
  readonly highest: number;
  readonly records: number;
  /** Blocks of `fillImage` that are still whole and where they belong. */
  readonly fillers: number;
  /** Blocks that are neither a whole record, nor filler, nor zeros. */
  readonly torn: number;
  /** Numbers that must be there, because a later one is, and are not. */
  readonly missing: readonly number[];
}

/** Fills the image, or its first bytes, with blocks of known content, all different. Its size must be there already. */
export async function fillImage(path: string, bytes = Infinity): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const blocks = Math.floor(Math.min((await file.stat()).size, bytes) / recordBytes);
    const chunk = Buffer.alloc(256 * recordBytes);
    for (let first = 0; first < blocks; first += 256) {
      const count = Math.min(256, blocks - first);
      for (let i = 0; i < count; i += 1) filler(chunk.subarray(i * recordBytes, (i + 1) * recordBytes), first + i);
      await file.write(chunk, 0, count * recordBytes, first * recordBytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function filler(block: Buffer, index: number): void {
  let noise = Math.imul(index + 1, 0x9e3779b1) | 1;
  for (let at = 0; at < recordBytes; at += 4) {
    noise ^= noise << 13;
    noise ^= noise >>> 17;
    noise ^= noise << 5;
    block.writeInt32LE(noise, at);
  }
  fillerMagic.copy(block);
  block.writeBigUInt64LE(BigInt(index), 8);
  block.writeUInt32LE(crc32(block.subarray(0, recordBytes - 4)), recordBytes - 4);
}

/**
 * Reads an image that nobody writes to meanwhile (suspend the guest first) and tells which records it holds. The guest writes
 * one record after the other, each to its end: so a whole image has no gap below the highest number.
 */
export async function readRecords(path: string): Promise<RecordsFound> {
  const slots = new Map<number, number>();
  const found = { highest: 0, records: 0, fillers: 0, torn: 0, span: 0 };
  const look = (block: Buffer, index: number) => {
    const magic = block.subarray(0, 8);
    if (magic.equals(recordMagic) && whole(block, index, 16)) {
      const number = Number(block.readBigUInt64LE(8));
      found.records += 1;
      found.highest = Math.max(found.highest, number);
      found.span = Number(block.readBigUInt64LE(24));
      slots.set(index, number);
    } else if (magic.equals(fillerMagic) && whole(block, index, 8)) found.fillers += 1;
    else if (!block.equals(zeros)) found.torn += 1;
  };
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const chunk = Buffer.alloc(256 * recordBytes);
    for (const [from, to] of await dataExtents(path, size, chunk.length)) {
      for (let at = from; at < to; at += chunk.length) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
        for (let k = 0; k + recordBytes <= bytesRead; k += recordBytes)
          look(chunk.subarray(k, k + recordBytes), (at + k) / recordBytes);
      }
    }
  } finally {
    await file.close();
  }
  return {
    highest: found.highest,
    records: found.records,
    fillers: found.fillers,
    torn: found.torn,
    missing: gaps(slots, found),
  };
}

function whole(block: Buffer, index: number, indexAt: number): boolean {
  return (
    block.readUInt32LE(recordBytes - 4) === crc32(block.subarray(0, recordBytes - 4)) &&
    Number(block.readBigUInt64LE(indexAt)) === index
  );
}

/** Every number of the last round over the slots must be where it belongs. */
function gaps(slots: ReadonlyMap<number, number>, found: { highest: number; span: number }): number[] {
  const missing: number[] = [];
  for (let number = Math.max(1, found.highest - found.span + 1); number <= found.highest; number += 1) {
    const slot = Number((BigInt(number) * 2654435761n) % BigInt(found.span));
    if (slots.get(slot) !== number) missing.push(number);
  }
  return missing;
}
