import type { FileHandle } from 'node:fs/promises';
import { digestBytes, zeroBlockDigest } from '../../copier/digest-chain.ts';
import { fileHoles } from '../../copier/file-holes.ts';
import { HoleMap } from '../../copier/hole-map.ts';
import { blockBytes, cellBytes, rangeBytes } from '../../copier/geometry.ts';
import { nonZeroRuns } from '../../copier/write-block.ts';
import type { AskExtents } from '../../copier/zero-map.ts';
import { BlockDigests, digestOfBlock } from './block-digests.ts';
import { BlockReader, type Block } from './block-reader.ts';

/** A part of what was asked for. `bytes` null: zeros. They are the reader's again once `sent` was called. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array | null;
  readonly sent: () => void;
}

/** Something that can be read over NBD. */
export interface Served {
  readonly sizeBytes: number;
  /** Tells what of it is zeros without looking at it. Null: nobody knows. */
  readonly extents: AskExtents | null;
  /** Somebody has opened it. */
  opened(): void;
  /**
   * What is there, in order and without a gap. Each piece must be told as sent, whatever becomes of it. Rejects with the error of the
   * device.
   */
  read(offset: number, length: number): AsyncGenerator<Piece, void, void>;
}

/** So many blocks of a device are in memory at most, read or on their way to a client. */
const buffers = 48;
/** Who reads one block after the other finds so many of the next ones there. */
const blocksAhead = 8;

const blocksOfRange = rangeBytes / blockBytes;

/**
 * The device itself, and the digests of its blocks, one after another. The digest of a block is that of its bytes as they were read last, which
 * are those that were sent; one that nobody has read lately is read for that.
 */
export function serveSource(
  file: FileHandle,
  { path, sizeBytes, tellsHoles }: { path: string; sizeBytes: number; tellsHoles: boolean },
): { device: Served; digests: Served } {
  const noted = new BlockDigests();
  const reader = new BlockReader(file, sizeBytes, buffers, (block) => noted.note(block));
  const holes = tellsHoles ? new HoleMap(fileHoles(path), sizeBytes) : null;
  return { device: servedDevice(reader, sizeBytes, holes), digests: servedDigests(reader, noted, sizeBytes, holes) };
}

function servedDevice(reader: BlockReader, sizeBytes: number, holes: HoleMap | null): Served {
  let next = 0;
  return {
    sizeBytes,
    extents: holes && ((...question) => holes.extents(...question)),
    opened: () => undefined,
    async *read(offset, length) {
      const end = offset + length;
      for (let at = offset; at < end;) {
        const index = Math.floor(at / blockBytes);
        if (index === next) for (let n = 1; n <= blocksAhead; n += 1) reader.ahead(index + n);
        next = index + 1;
        const block = await reader.take(index);
        const start = index * blockBytes;
        const to = Math.min(end, start + block.bytes.length);
        yield* pieces(reader, block, [at - start, to - start]);
        at = to;
      }
    },
  };
}

/** Releases the block when all of its pieces were sent, or nobody asks for the rest. */
function* pieces(reader: BlockReader, block: Block, [from, to]: readonly [number, number]) {
  const start = block.index * blockBytes;
  // The hold of this loop itself comes on top.
  let unsent = 1;
  const sent = () => {
    unsent -= 1;
    if (unsent === 0) reader.release(block, to < block.bytes.length);
  };
  try {
    for (const { at, length, isData } of cut(block.isZero, block.bytes.subarray(from, to))) {
      unsent += 1;
      const bytes = isData ? block.bytes.subarray(from + at, from + at + length) : null;
      yield { offset: start + from + at, length, bytes, sent };
    }
  } finally {
    sent();
  }
}

interface Part {
  readonly at: number;
  readonly length: number;
  readonly isData: boolean;
}

/** Data and runs of zeros, in order. */
function cut(isZero: boolean, bytes: Uint8Array): Part[] {
  const { length } = bytes;
  if (isZero) return [{ at: 0, length, isData: false }];
  const runs = length < 2 * cellBytes ? [[0, length] as const] : nonZeroRuns(bytes);
  const parts: Part[] = [];
  let at = 0;
  const zeros = (to: number) => void (to > at && parts.push({ at, length: to - at, isData: false }));
  for (const [from, to] of runs) {
    zeros(from);
    parts.push({ at: from, length: to - from, isData: true });
    at = to;
  }
  zeros(length);
  return parts;
}

function servedDigests(reader: BlockReader, noted: BlockDigests, sizeBytes: number, holes: HoleMap | null): Served {
  const digestOf = async (index: number): Promise<Uint8Array> => {
    const found = noted.get(index);
    if (found) return found;
    const start = index * blockBytes;
    const length = Math.min(blockBytes, sizeBytes - start);
    if (holes && (await holes.isHole(start, length))) return zeroBlockDigest(length);
    const block = await reader.take(index);
    try {
      return digestOfBlock(block);
    } finally {
      reader.release(block, false);
    }
  };
  return {
    sizeBytes: Math.ceil(sizeBytes / blockBytes) * digestBytes,
    extents: null,
    opened: () => (noted.wanted = true),
    async *read(offset, length) {
      const end = offset + length;
      for (let at = offset; at < end;) {
        const first = Math.floor(at / digestBytes);
        const last = Math.min(Math.ceil(end / digestBytes), first + blocksOfRange);
        const found: Uint8Array[] = [];
        for (let index = first; index < last; index += 1) found.push(await digestOf(index));
        const to = Math.min(end, last * digestBytes);
        const bytes = Buffer.concat(found).subarray(at - first * digestBytes, to - first * digestBytes);
        yield { offset: at, length: bytes.length, bytes, sent: () => undefined };
        at = to;
      }
    },
  };
}
