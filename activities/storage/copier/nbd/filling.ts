/** A parser: yields each buffer it wants filled to the last byte, and goes on when that is done. Never an empty one. */
export type Fills<Result> = Generator<Uint8Array, Result, void>;

/**
 * Drives such a parser from any source of bytes. The source may put bytes where `target` says itself, so that payload goes
 * from the socket straight into place.
 */
export class Filling {
  readonly #steps: Fills<void>;
  #buffer: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #done = false;

  constructor(steps: Fills<void>) {
    this.#steps = steps;
    this.#step();
  }

  get done(): boolean {
    return this.#done;
  }

  /** Where the next bytes belong. Not to be asked once done. */
  get target(): Uint8Array {
    return this.#filled === 0 ? this.#buffer : this.#buffer.subarray(this.#filled);
  }

  /** The first `count` bytes of `target` have arrived. Throws what the parser throws. */
  advance(count: number): void {
    this.#filled += count;
    if (this.#filled === this.#buffer.length) this.#step();
  }

  /** Copies from `bytes` as far as the parser wants them; returns how many it took. */
  take(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && !this.#done) {
      const { target } = this;
      const part = bytes.subarray(taken, taken + target.length);
      target.set(part);
      taken += part.length;
      this.advance(part.length);
    }
    return taken;
  }

  #step(): void {
    const { done, value } = this.#steps.next();
    this.#filled = 0;
    if (done) this.#done = true;
    else this.#buffer = value;
  }
}
