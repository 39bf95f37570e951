import { FerryError } from '../../../model/errors.ts';
import type { Checkpoint } from '../../../model/migration.ts';
import type { CopyJob } from '../copy-job.ts';
import { alignedMemory, BufferPool } from './aligned-buffers.ts';
import { checkStart } from './check-start.ts';
import { Destination } from './destination.ts';
import { blockDigest, zeroBlockDigest } from './digest-chain.ts';
import { blockBytes } from './geometry.ts';
import { Halt } from './halt.ts';
import { connectNbd, type NbdLimits, type NbdSource } from './nbd/connection.ts';
import { openLocalSource } from './local-source.ts';
import { Progress, type JobResult, type OnProgress } from './progress.ts';
import { openReadBack, type ReadBack } from './read-back.ts';
import { RangeLedger } from './range-ledger.ts';
import { createThrottle, requestBytesFor } from './token-bucket.ts';
import { fillGaps, nonZeroRuns } from './write-block.ts';
import { zeroDevice } from './zero-device.ts';
import { ZeroMaps, type Run } from './zero-map.ts';

/** Blocks on their way at once, read or written: what memory and latency hiding come to. */
const buffers = 32;

export interface JobOptions {
  /** The wish to stop: what is in flight is ended, what is written flushed. */
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  readonly limits?: NbdLimits;
  /** Resolves when the destination, which is locked by then, is still the one to write to. */
  readonly confirm?: (() => Promise<void>) | undefined;
}

/** Copies an export to a device. Resolves when all is flushed, or at the position where it was stopped. */
export async function copy(job: CopyJob, options: JobOptions): Promise<JobResult> {
  checkStart(job.from, job.destination.sizeBytes, job.digest);
  const halt = new Halt(options.signal);
  let source: NbdSource | null = null;
  let destination: Destination | null = null;
  let readBack: ReadBack | null = null;
  let { from } = job;
  try {
    const connecting =
      'devicePath' in job.source
        ? openLocalSource(job.source.devicePath, job.destination.sizeBytes)
        : connectNbd({
            address: job.source,
            tls: job.tls,
            signal: halt.signal,
            ...(options.limits && { limits: options.limits }),
          });
    connecting.catch(() => undefined);
    destination = await Destination.open(job.destination.path, job.destination.sizeBytes);
    await options.confirm?.();
    source = await connecting;
    checkSize(job, source);
    from = await prepareZeros(job, destination, halt.signal, (zeroed) => {
      from = zeroed;
      options.onProgress(zeroed, zeroed.offset);
    });
    readBack = await openReadBack({ job, source, destination, halt, from }, options.limits);
    return await new CopyRun(job, from, source, destination, readBack, halt, options.onProgress).run();
  } catch (error) {
    halt.throwIfFailed();
    // Stopped before the first byte: what then fails is only the stopping itself.
    if (halt.halted && (!(error instanceof FerryError) || error.type === 'Cancelled'))
      return { checkpoint: from, finished: false };
    throw error;
  } finally {
    source?.close();
    halt.end();
    await readBack?.close();
    await destination?.close();
  }
}

function checkSize({ source, destination }: CopyJob, { sizeBytes }: NbdSource): void {
  if (sizeBytes === destination.sizeBytes) return;
  const name = 'devicePath' in source ? source.devicePath : source.exportName;
  const details = { exportName: name, expected: destination.sizeBytes, found: sizeBytes };
  throw new FerryError(
    'SizeMismatch',
    `The source's export has ${sizeBytes} bytes, but ${destination.sizeBytes} were expected`,
    details,
  );
}

/**
 * Zeros the destination as a whole if its old bytes may show, it can do so cheaply, and this is the very start: a resume
 * must not, as it would destroy what was copied. What an earlier try has zeroed it need not do again.
 */
async function prepareZeros(
  { from, destination: { readsZero } }: CopyJob,
  destination: Destination,
  signal: AbortSignal,
  onZeroed: (checkpoint: Checkpoint) => void,
): Promise<Checkpoint> {
  if (from.zeroed || readsZero || from.offset > 0) return from;
  const { zeroedBytes = 0, ...start } = from;
  const tell = (upTo: number) => onZeroed({ ...start, zeroedBytes: upTo });
  return (await zeroDevice(destination, zeroedBytes, signal, tell)) ? { ...start, zeroed: true } : start;
}

/** A server passes on what its file system tells. Which one that is only the source's node knows. */
function believesHoles({ source }: CopyJob): boolean {
  return 'devicePath' in source || source.holes === true;
}

class CopyRun {
  readonly #job: CopyJob;
  readonly #source: NbdSource;
  readonly #destination: Destination;
  readonly #readBack: ReadBack | null;
  readonly #halt: Halt;
  readonly #ledger: RangeLedger;
  readonly #progress: Progress;
  readonly #from: number;
  readonly #digest: boolean;
  readonly #pool = new BufferPool(buffers, blockBytes);
  readonly #zeros = alignedMemory(blockBytes);
  readonly #inFlight = new Set<Promise<void>>();
  /**
   * Zeros need not be written. On a resume the destination is no longer all zeros beyond the checkpoint: the earlier attempt
   * may have written some blocks there. Skipping stays right all the same, because the source is read-only for the whole
   * migration: that attempt wrote nothing where the source reads zeros, and where it did write, the same bytes come again.
   * (So a copy that must be done over because of bad bytes on the destination must not claim that it reads zeros.)
   */
  readonly #skipZeros: boolean;

  constructor(
    job: CopyJob,
    from: Checkpoint,
    source: NbdSource,
    destination: Destination,
    readBack: ReadBack | null,
    halt: Halt,
    onProgress: OnProgress,
  ) {
    this.#job = job;
    this.#source = source;
    this.#destination = destination;
    this.#readBack = readBack;
    // Its digest is that of what is read back.
    this.#digest = job.digest && !readBack;
    this.#halt = halt;
    // Without proof it goes on from where its digest does.
    this.#from = (readBack && from.copied) ?? from.offset;
    this.#skipZeros = from.zeroed || job.destination.readsZero;
    const { proven: _, copied: __, ...unproven } = from;
    const start = { ...unproven, offset: this.#from };
    this.#ledger = new RangeLedger(job.destination.sizeBytes, start, this.#digest, (offset) =>
      readBack?.written(offset),
    );
    this.#progress = new Progress(
      readBack
        ? // What is read back was flushed before.
          { ledger: readBack.position(this.#ledger), halt, flush: async () => undefined, onProgress }
        : { ledger: this.#ledger, halt, flush: (since) => destination.flush(since), onProgress },
    );
  }

  async run(): Promise<JobResult> {
    return this.#progress.during(async () => {
      const readBack = this.#readBack?.run().catch(this.#halt.fail);
      await this.#readAll().catch(this.#halt.fail);
      await Promise.all(this.#inFlight);
      await readBack;
    });
  }

  async #readAll(): Promise<void> {
    const { sizeBytes } = this.#job.destination;
    const maps = new ZeroMaps(
      sizeBytes,
      believesHoles(this.#job) && this.#source.tellsHoles ? (...question) => this.#source.extents(...question) : null,
    );
    const throttle = createThrottle(this.#job.bandwidth, this.#halt.signal);
    const requestBytes = requestBytesFor(this.#job.bandwidth, blockBytes);
    for (let offset = this.#from; offset < sizeBytes;) {
      const map = await maps.next(offset);
      for (; offset < map.to; offset += blockBytes) {
        await this.#readBack?.permits(offset);
        if (this.#halt.halted) return;
        const length = Math.min(blockBytes, sizeBytes - offset);
        const runs = map.dataRuns(offset, length);
        if (runs.length === 0) await this.#hole(offset, length);
        else await this.#data(offset, length, runs, throttle, requestBytes);
      }
      offset = map.to;
    }
  }

  #hole(offset: number, length: number): Promise<void> | undefined {
    if (this.#skipZeros) {
      this.#ledger.complete(offset, length, this.#digest ? zeroBlockDigest(length) : null, 0);
      return undefined;
    }
    return this.#writeZeros(offset, length);
  }

  async #writeZeros(offset: number, length: number): Promise<void> {
    // The buffer itself is not used: it is the permission for one more block in flight.
    const permission = await this.#pool.take();
    this.#track(permission, async () => {
      await this.#destination.write(this.#zeros.subarray(0, length), offset);
      this.#ledger.complete(offset, length, this.#digest ? zeroBlockDigest(length) : null, 0);
    });
  }

  /** Asks for the runs in order, at the pace of the cap; they arrive and are written while later blocks are asked for. */
  async #data(
    offset: number,
    length: number,
    runs: readonly Run[],
    throttle: ReturnType<typeof createThrottle>,
    requestBytes: number,
  ): Promise<void> {
    const buffer = await this.#pool.take();
    if (this.#halt.halted) return;
    const block = buffer.subarray(0, length);
    const reads: Promise<void>[] = [];
    let transferred = 0;
    fillGaps(block, runs);
    for (const [from, to] of runs) {
      for (let at = from; at < to; at += requestBytes) {
        const part = block.subarray(at, Math.min(at + requestBytes, to));
        const wait = throttle(part.length);
        if (wait) await wait;
        const read = this.#source.read(offset + at, part).then((came) => {
          this.#ledger.arrive(came);
          transferred += came;
        });
        read.catch(this.#halt.fail);
        reads.push(read);
      }
    }
    this.#track(buffer, async () => {
      await Promise.all(reads);
      await this.#land(block, offset, transferred);
    });
  }

  async #land(block: Uint8Array, offset: number, transferred: number): Promise<void> {
    const runs = transferred === 0 ? [] : nonZeroRuns(block);
    let digest: Uint8Array | null = null;
    if (this.#digest) digest = runs.length === 0 ? zeroBlockDigest(block.length) : blockDigest(block);
    if (!this.#skipZeros) await this.#destination.write(block, offset);
    else for (const [from, to] of runs) await this.#destination.write(block.subarray(from, to), offset + from);
    this.#ledger.complete(offset, block.length, digest, transferred);
  }

  #track(buffer: Uint8Array, work: () => Promise<void>): void {
    const landing = work()
      .catch(this.#halt.fail)
      .finally(() => {
        this.#inFlight.delete(landing);
        this.#pool.give(buffer);
      });
    this.#inFlight.add(landing);
  }
}
