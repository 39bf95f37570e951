import { setTimeout as sleep } from 'node:timers/promises';
import type { FileHandle } from 'node:fs/promises';
import { FerryError } from '../../../model/errors.ts';
import type { Checkpoint } from '../../../model/migration.ts';
import type { CompareJob } from '../copy-job.ts';
import { tellsHoles } from '../file-system.ts';
import { BufferPool } from './aligned-buffers.ts';
import { inspectDevice } from './block-device.ts';
import { checkStart } from './check-start.ts';
import type { JobOptions } from './copy.ts';
import { blockDigest, digestBytes } from './digest-chain.ts';
import { fileHoles } from './file-holes.ts';
import { blockBytes, rangeBytes } from './geometry.ts';
import { Halt } from './halt.ts';
import { HoleMap } from './hole-map.ts';
import { connectNbd, type NbdSource } from './nbd/connection.ts';
import { openMedium, weaker, type Medium } from './open-medium.ts';
import { Progress, type JobResult, type Position } from './progress.ts';
import { RangeLedger } from './range-ledger.ts';
import { readBlock } from './read-block.ts';
import { connectDigests, digestAt, readDigest, sameDigest } from './source-digests.ts';
import { createThrottle, type Throttle } from './token-bucket.ts';

/** Blocks that are read at once. */
const readers = 8;

/** What a guest writes at a time at least: told apart as equal or not. */
const pageBytes = 4096;

/** What is not equal is looked at again after these: a mirror follows within milliseconds, if nothing holds it up. Milliseconds. */
const looksAgainAfter = [20, 50, 100, 200, 400, 600, 800, 1000] as const;

/** Where neither side has changed for so many looks, which take more than two seconds, nobody will make them equal any more. */
const lastLooks = 4;

/**
 * Compares a device with the source that it follows: what is written to the source is written to it soon afterwards, by a mirror. A page counts as
 * equal when it was seen so once. One that is not is looked at again, for some seconds: what changes all the time is told as `unproven`. What differs
 * and stays as it is was never written, or came otherwise: `ChecksumMismatch`, with its place. Neither side is written to.
 */
export async function compare(job: CompareJob, { signal, onProgress, limits }: JobOptions): Promise<JobResult> {
  const { path, sizeBytes } = job.device;
  checkStart(job.from, sizeBytes, false);
  const facts = await inspectDevice(path, sizeBytes);
  const halt = new Halt(signal);
  const opened = await openMedium(facts);
  const way = { address: job.source, tls: job.tls, signal: halt.signal, ...(limits && { limits }) };
  let bytes: NbdSource | null = null;
  let digests: NbdSource | null = null;
  try {
    bytes = await connectNbd(way);
    if (bytes.sizeBytes !== sizeBytes)
      throw new FerryError(
        'SizeMismatch',
        `The source's export has ${bytes.sizeBytes} bytes, ${path} has ${sizeBytes}`,
      );
    digests = job.source.digests ? await connectDigests(way) : null;
    // What its device gives past the page cache nobody knows of a source that tells no digests.
    const medium = weaker(job.from.medium, digests && opened.medium === 'direct' ? 'direct' : 'cache');
    const holes = (await tellsHoles(path)) ? new HoleMap(fileHoles(path), sizeBytes) : null;
    // What the mirror has written last is still in the page cache, where it goes through one.
    await opened.file.datasync();
    const comparison = new Comparison({ job, file: opened.file, medium, bytes, digests, holes, halt });
    const progress = new Progress({ ledger: comparison.position, halt, flush: async () => undefined, onProgress });
    return await progress.during(() => comparison.run());
  } catch (error) {
    halt.throwIfFailed();
    if (halt.halted && (!(error instanceof FerryError) || error.type === 'Cancelled'))
      return { checkpoint: job.from, finished: false };
    throw error;
  } finally {
    bytes?.close();
    digests?.close();
    halt.end();
    await opened.file.close();
  }
}

interface Parts {
  readonly job: CompareJob;
  readonly file: FileHandle;
  readonly medium: Medium;
  readonly bytes: NbdSource;
  readonly digests: NbdSource | null;
  readonly holes: HoleMap | null;
  readonly halt: Halt;
}

interface Block {
  readonly offset: number;
  readonly length: number;
}

/** A page that was never seen to be equal: what the two sides held at the last look, and for how many looks they have held that. */
interface Page {
  readonly source: string;
  readonly destination: string;
  readonly looks: number;
}

class Comparison {
  readonly #parts: Parts;
  readonly #ledger: RangeLedger;
  readonly #throttle: Throttle;
  readonly #pool = new BufferPool(2 * readers, blockBytes);
  #unproven: number;

  constructor(parts: Parts) {
    const { from, device, bandwidth } = parts.job;
    this.#parts = parts;
    this.#unproven = from.unproven ?? 0;
    this.#ledger = new RangeLedger(device.sizeBytes, { ...from, medium: parts.medium }, false);
    this.#throttle = createThrottle(bandwidth, parts.halt.signal);
  }

  get position(): Position {
    const ledger = this.#ledger;
    const { transferred } = this.#parts.job.from;
    const reached = (): Checkpoint => ({ ...ledger.reached, transferred, unproven: this.#unproven });
    return {
      sizeBytes: ledger.sizeBytes,
      get reached() {
        return reached();
      },
      get finished() {
        return ledger.finished;
      },
      get position() {
        return ledger.position;
      },
    };
  }

  async run(): Promise<void> {
    const { job, halt } = this.#parts;
    const { sizeBytes } = job.device;
    for (let start = job.from.offset; start < sizeBytes; start += rangeBytes) {
      const blocks = blocksOf(start, Math.min(rangeBytes, sizeBytes - start));
      const open = await this.#different(blocks);
      const unproven = open.length > 0 ? await this.#lookCloser(open) : 0;
      if (halt.halted) return;
      // Together with the range that it is of: a checkpoint lies between ranges.
      this.#unproven += unproven;
      for (const { offset, length } of blocks) this.#ledger.complete(offset, length, null, length);
    }
  }

  /** Those that are not what the source's server says of its; all of them where it says nothing. */
  async #different(blocks: readonly Block[]): Promise<readonly Block[]> {
    const { digests, file, halt, holes, job } = this.#parts;
    const own = { file, path: job.device.path, pool: this.#pool, halt, throttle: this.#throttle };
    const expected = new Uint8Array(blocks.length * digestBytes);
    const first = blocks[0]!.offset / blockBytes;
    const [found] = await Promise.all([
      atMost(readers, blocks, async (block) => {
        // Without digests all of it is read in a closer look.
        if (!digests) await this.#throttle(block.length);
        const digest = digests && (await readDigest(own, block, holes));
        this.#ledger.arrive(block.length);
        return digest;
      }),
      digests?.read(first * digestBytes, expected),
    ]);
    return blocks.filter((_, n) => {
      const digest = found[n];
      return !digest || !sameDigest(digest, digestAt(expected, n));
    });
  }

  /** Looks at the pages of these blocks until all were equal once, or will not be. Answers the bytes that a guest has changed all the time. */
  async #lookCloser(blocks: readonly Block[]): Promise<number> {
    const { halt } = this.#parts;
    let open = await this.#pages(blocks, null);
    for (const pause of looksAgainAfter) {
      if (open.size === 0 || halt.halted) return 0;
      await sleep(pause, undefined, { signal: halt.signal });
      const left = open;
      open = await this.#pages(
        blocks.filter(({ offset, length }) => pagesOf(offset, length).some((at) => left.has(at))),
        left,
      );
    }
    const still = [...open].filter(([, { looks }]) => looks >= lastLooks).map(([at]) => at);
    if (still.length > 0) throw this.#mismatch(still);
    return open.size * pageBytes;
  }

  /** The pages that differ now, of `among`, if it is given. By their offsets. */
  async #pages(blocks: readonly Block[], among: ReadonlyMap<number, Page> | null): Promise<Map<number, Page>> {
    const { file, bytes, job } = this.#parts;
    const open = new Map<number, Page>();
    await atMost(readers, blocks, async ({ offset, length }) => {
      const buffers = [await this.#pool.take(), await this.#pool.take()] as const;
      try {
        const [own, others] = buffers.map((buffer) => buffer.subarray(0, length)) as [Uint8Array, Uint8Array];
        await Promise.all([readBlock(file, job.device.path, own, offset), bytes.read(offset, others)]);
        for (const at of pagesOf(offset, length)) {
          if (among && !among.has(at)) continue;
          const page = (side: Uint8Array) => side.subarray(at - offset, Math.min(at - offset + pageBytes, length));
          if (Buffer.compare(page(own), page(others)) === 0) continue;
          const [destination, source] = [hex(page(own)), hex(page(others))];
          const before = among?.get(at);
          const isSame = before?.source === source && before.destination === destination;
          open.set(at, { source, destination, looks: isSame ? before.looks + 1 : 1 });
        }
      } finally {
        for (const buffer of buffers) this.#pool.give(buffer);
      }
    });
    return open;
  }

  #mismatch(still: readonly number[]): FerryError {
    const { path } = this.#parts.job.device;
    const first = Math.min(...still);
    return new FerryError(
      'ChecksumMismatch',
      `${path} holds other bytes than its source in ${still.length} pages of ${pageBytes} bytes, the first at byte ${first}, and nothing changes there: ` +
        `they changed on their way (network, memory), or one of the two disks gives back other bytes than it was given.`,
      { path, offset: first, pages: still.length },
    );
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(blockDigest(bytes)).toString('hex');

function blocksOf(start: number, length: number): Block[] {
  return Array.from({ length: Math.ceil(length / blockBytes) }, (_, n) => {
    const offset = start + n * blockBytes;
    return { offset, length: Math.min(blockBytes, start + length - offset) };
  });
}

function pagesOf(offset: number, length: number): number[] {
  return Array.from({ length: Math.ceil(length / pageBytes) }, (_, n) => offset + n * pageBytes);
}

/** The results in the order of the items. The first failure is the whole's, when all that was begun has ended. */
async function atMost<T, R>(limit: number, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const n = next;
      next += 1;
      results[n] = await work(items[n]!);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  const failed = lanes.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return results;
}
