import type { Checkpoint } from '../../../model/migration.ts';
import type { Halt } from './halt.ts';
import type { RangeLedger } from './range-ledger.ts';

/** Told of each new checkpoint, and of the position for display, which runs ahead of it. */
export type OnProgress = (checkpoint: Checkpoint, position: number) => void;

export interface JobResult {
  readonly checkpoint: Checkpoint;
  readonly finished: boolean;
}

const reportEvery = 250;
const flushEvery = 1000;

/** Flushes and reports by the clock, so that slow copies tell where they are too, and fast ones do not only flush. */
export class Progress {
  readonly #ledger: RangeLedger;
  readonly #flush: (since: number) => Promise<void>;
  readonly #onProgress: OnProgress;
  readonly #timer: NodeJS.Timeout;
  #checkpoint: Checkpoint;
  #flushing: Promise<void> | null = null;
  #flushedAt = performance.now();
  #told = -1;

  constructor(options: {
    ledger: RangeLedger;
    halt: Halt;
    flush: (since: number) => Promise<void>;
    onProgress: OnProgress;
  }) {
    this.#ledger = options.ledger;
    this.#flush = options.flush;
    this.#onProgress = options.onProgress;
    this.#checkpoint = options.ledger.reached;
    this.#timer = setInterval(() => this.#tick(options.halt), reportEvery);
  }

  /** The last flushed position. */
  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  /** Flushes all that is done by now. */
  async end(): Promise<Checkpoint> {
    this.stop();
    await this.#flushing?.catch(() => undefined);
    await this.#flushNow();
    return this.#checkpoint;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(halt: Halt): void {
    if (this.#ledger.position !== this.#told) {
      this.#told = this.#ledger.position;
      this.#onProgress(this.#checkpoint, this.#told);
    }
    const due = performance.now() - this.#flushedAt >= flushEvery;
    if (this.#flushing || !due || this.#ledger.reached.offset === this.#checkpoint.offset) return;
    this.#flushing = this.#flushNow()
      .catch(halt.fail)
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
