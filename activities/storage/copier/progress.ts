import type { Checkpoint } from '../../../model/migration.ts';
import type { Halt } from './halt.ts';

/** Told of each new checkpoint, and of the position for display, which runs ahead of it. */
export type OnProgress = (checkpoint: Checkpoint, position: number) => void;

/** How far a job is. */
export interface Position {
  readonly sizeBytes: number;
  /** All before its offset is done, or at least done when it is flushed. */
  readonly reached: Checkpoint;
  /** All of it is. */
  readonly finished: boolean;
  /** Bytes done or at least arrived: for display. */
  readonly position: number;
}

export interface JobResult {
  readonly checkpoint: Checkpoint;
  readonly finished: boolean;
}

const reportEvery = 250;
const flushEvery = 1000;

/** Flushes and reports by the clock, so that slow copies tell where they are too, and fast ones do not only flush. */
export class Progress {
  readonly #ledger: Position;
  readonly #halt: Halt;
  readonly #flush: (since: number) => Promise<void>;
  readonly #onProgress: OnProgress;
  readonly #timer: NodeJS.Timeout;
  #checkpoint: Checkpoint;
  #flushing: Promise<void> | null = null;
  #flushedAt = performance.now();
  #told = -1;

  constructor(options: {
    ledger: Position;
    halt: Halt;
    flush: (since: number) => Promise<void>;
    onProgress: OnProgress;
  }) {
    this.#ledger = options.ledger;
    this.#halt = options.halt;
    this.#flush = options.flush;
    this.#onProgress = options.onProgress;
    this.#checkpoint = options.ledger.reached;
    this.#timer = setInterval(() => this.#tick(), reportEvery);
  }

  /** The last flushed position. */
  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  /** A job's work from its beginning to its end, and where it came to, flushed. Rejects with the first failure of any of its parts. */
  async during(work: () => Promise<void>): Promise<JobResult> {
    try {
      await work().catch(this.#halt.fail);
      this.#halt.throwIfFailed();
      const checkpoint = await this.#end();
      return { checkpoint, finished: this.#ledger.finished };
    } finally {
      this.#stop();
    }
  }

  /** Flushes all that is done by now. */
  async #end(): Promise<Checkpoint> {
    this.#stop();
    await this.#flushing?.catch(() => undefined);
    await this.#flushNow();
    return this.#checkpoint;
  }

  #stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    if (this.#ledger.position !== this.#told) {
      this.#told = this.#ledger.position;
      this.#onProgress(this.#checkpoint, this.#told);
    }
    const due = performance.now() - this.#flushedAt >= flushEvery;
    if (this.#flushing || !due || isSame(this.#ledger.reached, this.#checkpoint)) return;
    this.#flushing = this.#flushNow()
      .catch(this.#halt.fail)
      .finally(() => {
        this.#flushing = null;
      });
  }

  async #flushNow(): Promise<void> {
    // Taken before the flush: what is finished while it runs may not be covered by it.
    const { reached } = this.#ledger;
    await this.#flush(this.#checkpoint.offset);
    this.#flushedAt = performance.now();
    this.#checkpoint = reached;
    this.#told = -1;
  }
}

const isSame = (a: Checkpoint, b: Checkpoint) => a.offset === b.offset && a.copied === b.copied;
