import type { FileHandle } from 'node:fs/promises';
import { FerryError } from '../../../model/errors.ts';
import { digestsOf } from '../exports/digests-of.ts';
import type { BufferPool } from './aligned-buffers.ts';
import { blockDigest, digestBytes, isZero, zeroBlockDigest } from './digest-chain.ts';
import type { Halt } from './halt.ts';
import type { HoleMap } from './hole-map.ts';
import { connectNbd, type NbdOptions, type NbdSource } from './nbd/connection.ts';
import { readBlock } from './read-block.ts';
import type { Throttle } from './token-bucket.ts';

/** Connects to the digests beside an export. Null: its server does not offer them. */
export async function connectDigests(options: NbdOptions): Promise<NbdSource | null> {
  const address = { ...options.address, exportName: digestsOf(options.address.exportName) };
  try {
    return await connectNbd({ ...options, address });
  } catch (error) {
    if (error instanceof FerryError && error.details['why'] === 'no such export') return null;
    throw error;
  }
}

interface Own {
  readonly file: FileHandle;
  readonly path: string;
  readonly pool: BufferPool;
  readonly halt: Halt;
  /** Of what is read. */
  readonly throttle?: Throttle;
}

/** The digest of a block as a device of this node gives it; what lies in a hole is not read. Halted: of zeros, for nobody. */
export async function readDigest(
  { file, path, pool, halt, throttle }: Own,
  { offset, length }: { offset: number; length: number },
  holes: HoleMap | null,
): Promise<Uint8Array> {
  if (holes && (await holes.isHole(offset, length))) return zeroBlockDigest(length);
  await throttle?.(length);
  const buffer = await pool.take();
  try {
    const block = buffer.subarray(0, length);
    // Stopped: what is asked for no more need not be read.
    if (halt.halted) return zeroBlockDigest(length);
    await readBlock(file, path, block, offset);
    return isZero(block) ? zeroBlockDigest(length) : blockDigest(block);
  } finally {
    pool.give(buffer);
  }
}

/** One of several digests that lie one after another. */
export const digestAt = (digests: Uint8Array, n: number) => digests.subarray(n * digestBytes, (n + 1) * digestBytes);
export const sameDigest = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
