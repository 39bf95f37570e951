import { beatEveryMs } from './beating.ts';

/**
 * Tells how long work has stood still, in time in which this process could have seen it move. What passes while the process is suspended,
 * starved, or its machine is paused does not count: it moves nothing then, and what moved meanwhile has not been heard of yet.
 * `now`: milliseconds of a clock that nobody sets.
 */
export class Standing {
  readonly #now: () => number;
  #stoodMs = 0;
  #lookedAt: number;

  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#lookedAt = now();
  }

  /** It has moved, or begins. */
  moved(): void {
    this.#stoodMs = 0;
    this.#lookedAt = this.#now();
  }

  /** How long it has stood still. Milliseconds. To be asked at every beat: a longer time than two beats counts as two. */
  look(): number {
    const now = this.#now();
    this.#stoodMs += Math.min(now - this.#lookedAt, 2 * beatEveryMs);
    this.#lookedAt = now;
    return this.#stoodMs;
  }
}
