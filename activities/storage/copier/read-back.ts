import type { FileHandle } from 'node:fs/promises';
import { setImmediate as turnOfEventLoop } from 'node:timers/promises';
import { FerryError } from '../../../model/errors.ts';
import type { Checkpoint } from '../../../model/migration.ts';
import type { CopyJob } from '../copy-job.ts';
import { tellsHoles } from '../file-system.ts';
import { BufferPool } from './aligned-buffers.ts';
import type { Destination } from './destination.ts';
import { digestBytes } from './digest-chain.ts';
import { fileHoles } from './file-holes.ts';
import { blockBytes, rangeBytes } from './geometry.ts';
import type { Halt } from './halt.ts';
import { HoleMap } from './hole-map.ts';
import type { NbdLimits, NbdSource } from './nbd/connection.ts';
import { openMedium } from './open-medium.ts';
import type { Position } from './progress.ts';
import { RangeLedger } from './range-ledger.ts';
import { connectDigests, digestAt, readDigest, sameDigest } from './source-digests.ts';

/** Blocks of the destination that are read back at once. */
const buffers = 8;
/** The copy may be so far ahead of what is flushed: that much is copied again when it is ended in mid-way. */
const mostAhead = 16 * rangeBytes;
/** So much is flushed at least, where what comes before it keeps being read back. */
const worthFlushing = mostAhead / 2;
/** Of so much at once it is worth asking the file system for holes; that takes a process. */
const worthAsking = 4 * rangeBytes;
/** A range that differs is copied again so often at most. */
const mostCopies = 3;

interface Parts {
  readonly job: CopyJob;
  readonly source: NbdSource;
  readonly digests: NbdSource;
  readonly destination: Destination;
  readonly file: FileHandle;
  readonly tellsHoles: boolean;
  readonly halt: Halt;
  readonly from: Checkpoint;
}

/**
 * What `ReadBack` needs beside the copy: the digests of the source's server, and the destination once more, from its medium. Null when one of
 * them is not to be had: then the copy is proven afterwards, as by an older node.
 */
export async function openReadBack(
  parts: Omit<Parts, 'digests' | 'file' | 'tellsHoles'>,
  limits: NbdLimits | undefined,
): Promise<ReadBack | null> {
  const { job, destination, halt } = parts;
  const { source, tls } = job;
  if (!job.readBack || 'devicePath' in source || !source.digests) return null;
  const { file, medium } = await openMedium(destination.facts);
  try {
    const digests =
      medium === 'direct'
        ? await connectDigests({ address: source, tls, signal: halt.signal, ...(limits && { limits }) })
        : null;
    if (digests) return new ReadBack({ ...parts, digests, file, tellsHoles: await tellsHoles(destination.facts.path) });
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return null;
}

/**
 * Follows a copy: flushes what is written, reads it back from the destination's medium range by range, and compares it with what the source's
 * own server has read. What differs is copied again. It begins at the first byte, also where a copy goes on: a disk may have acknowledged
 * a flush, and lost it with the power that ended the earlier try.
 */
export class ReadBack {
  readonly #parts: Parts;
  readonly #ledger: RangeLedger;
  readonly #pool = new BufferPool(buffers, blockBytes);
  #copiedAgain: number;
  /** All before is written; all before is flushed too. */
  #written: number;
  #flushed: number;
  #wake: () => void = () => undefined;
  #proceeded: () => void = () => undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { proven, copied = parts.from.offset, ...from } = parts.from;
    this.#written = this.#flushed = copied;
    this.#copiedAgain = proven?.copiedAgain ?? 0;
    this.#ledger = new RangeLedger(parts.job.destination.sizeBytes, { ...from, offset: 0, chain: '' }, true);
    parts.halt.signal.addEventListener('abort', () => {
      this.#wake();
      this.#proceeded();
    });
  }

  /** Where the whole is, with the copy at `copied`. What an earlier try has proven is its checkpoint until this one has passed it. */
  position(copied: Omit<Position, 'finished'>): Position {
    const { sizeBytes } = copied;
    const { from } = this.#parts;
    const start = copied.position;
    const reached = () => {
      const ledger = this.#ledger.reached;
      const proven = { copiedAgain: this.#copiedAgain };
      const { copied: _, ...before } = from;
      const best = ledger.offset >= from.offset ? { ...ledger, proven } : { ...before, ...(from.proven && { proven }) };
      const { transferred } = copied.reached;
      return { ...best, transferred, ...(this.#flushed > best.offset && { copied: this.#flushed }) };
    };
    // A byte that is still to be copied is as much work as one that is to be read back.
    const shown = Math.min(from.offset, lastRangeOf(sizeBytes));
    const position = () => {
      const done = copied.position - start + this.#ledger.position;
      return shown + Math.floor((sizeBytes - shown) * (done / (2 * sizeBytes - start)));
    };
    const ledger = this.#ledger;
    return {
      sizeBytes,
      get reached() {
        return reached();
      },
      get position() {
        return position();
      },
      get finished() {
        return ledger.finished;
      },
    };
  }

  /** The copy has written all before `upTo`. */
  written(upTo: number): void {
    this.#written = upTo;
    this.#wake();
  }

  /** Resolves when the copy may write at `offset`; it never is far ahead. */
  async permits(offset: number): Promise<void> {
    while (offset - this.#flushed >= mostAhead && !this.#parts.halt.halted)
      await new Promise<void>((resolve) => (this.#proceeded = resolve));
  }

  /** Resolves when all is proven, or it was stopped. Throws `ChecksumMismatch` for a range that cannot be had right. */
  async run(): Promise<void> {
    const { job, halt } = this.#parts;
    const { sizeBytes } = job.destination;
    for (let at = 0; at < sizeBytes;) {
      while (this.#written <= at && !halt.halted) await new Promise<void>((resolve) => (this.#wake = resolve));
      // The copy goes over what is empty in one go: all of it is looked up at once then, and none of it read.
      await turnOfEventLoop();
      if (halt.halted) return;
      await this.#flush();
      const upTo = this.#flushed;
      const holes = this.#parts.tellsHoles && upTo - at >= worthAsking ? this.#holes() : null;
      for (; at < upTo; at = Math.min(at + rangeBytes, sizeBytes)) {
        if (halt.halted) return;
        await this.#prove(at, holes);
        // Far behind, with all before to read again: the copy need not wait for that.
        if (this.#written - this.#flushed >= worthFlushing) await this.#flush();
      }
    }
  }

  async #flush(): Promise<void> {
    const upTo = this.#written;
    await this.#parts.destination.flush(this.#flushed);
    this.#flushed = upTo;
    this.#proceeded();
  }

  async close(): Promise<void> {
    this.#parts.digests.close();
    await this.#parts.file.close();
  }

  /** As they are now: only what is written and flushed may be looked up in it. */
  #holes(): HoleMap {
    const { path, sizeBytes } = this.#parts.destination.facts;
    return new HoleMap(fileHoles(path), sizeBytes);
  }

  async #prove(start: number, holes: HoleMap | null): Promise<void> {
    const { file, halt, destination } = this.#parts;
    const own = { file, path: destination.facts.path, pool: this.#pool, halt };
    const blocks = this.#blocksFrom(start);
    const found = new Uint8Array(blocks.length * digestBytes);
    let open = blocks;
    for (let copies = 0; ; copies += 1) {
      const [expected] = await Promise.all([
        this.#sourceDigests(blocks),
        Promise.all(open.map(async (block) => found.set(await readDigest(own, block, holes), block.n * digestBytes))),
      ]);
      if (halt.halted) return;
      open = blocks.filter(({ n }) => !sameDigest(digestAt(expected, n), digestAt(found, n)));
      if (open.length === 0) break;
      if (copies === mostCopies)
        throw this.#mismatch(open, digestAt(expected, open[0]!.n), digestAt(found, open[0]!.n));
      this.#copiedAgain += 1;
      for (const block of open) await this.#copyAgain(block);
      await destination.flush(start);
      // What was a hole may be none any more.
      holes = null;
    }
    for (const { n, offset, length } of blocks) this.#ledger.complete(offset, length, digestAt(found, n), 0);
  }

  #blocksFrom(start: number): { n: number; offset: number; length: number }[] {
    const { sizeBytes } = this.#parts.job.destination;
    const length = Math.min(rangeBytes, sizeBytes - start);
    return Array.from({ length: Math.ceil(length / blockBytes) }, (_, n) => {
      const offset = start + n * blockBytes;
      return { n, offset, length: Math.min(blockBytes, sizeBytes - offset) };
    });
  }

  async #sourceDigests(blocks: readonly { offset: number }[]): Promise<Uint8Array> {
    const digests = new Uint8Array(blocks.length * digestBytes);
    const { offset } = blocks[0]!;
    try {
      await this.#parts.digests.read((offset / blockBytes) * digestBytes, digests);
    } catch (error) {
      if (!(error instanceof FerryError) || error.type !== 'SourceReadFailed') throw error;
      // It speaks of a place among the digests.
      const message = `The source cannot be read again in the ${blocks.length} MiB from byte ${offset} on: ${error.message}`;
      throw new FerryError('SourceReadFailed', message, { ...error.details, offset }, { cause: error });
    }
    return digests;
  }

  /** All of it, zeros too: nobody knows any more what the destination shows there. */
  async #copyAgain({ offset, length }: { offset: number; length: number }): Promise<void> {
    const buffer = await this.#pool.take();
    try {
      const block = buffer.subarray(0, length);
      await this.#parts.source.read(offset, block);
      await this.#parts.destination.write(block, offset);
    } finally {
      this.#pool.give(buffer);
    }
  }

  #mismatch(open: readonly { offset: number; length: number }[], expected: Uint8Array, found: Uint8Array): FerryError {
    const [first, last] = [open[0]!, open.at(-1)!];
    const { path } = this.#parts.destination.facts;
    const [from, to] = [first.offset, last.offset + last.length];
    return new FerryError(
      'ChecksumMismatch',
      `${path} holds other bytes than the source's own node has read, in ${open.length} MiB between byte ${from} and ${to}, ` +
        `although these were copied ${mostCopies + 1} times: they change on their way (network, memory), or one of the two ` +
        `disks does not read the same twice. Check these, then migrate again.`,
      { path, from, to, copies: mostCopies + 1, expected: hex(expected), found: hex(found) },
    );
  }
}

const lastRangeOf = (sizeBytes: number) => Math.max(0, Math.ceil(sizeBytes / rangeBytes) - 1) * rangeBytes;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
