/** Ends a job's work from any of its parts: by the first failure, or by the caller's wish. Waits end by `signal`. */
export class Halt {
  readonly #controller = new AbortController();
  #error: unknown = null;

  constructor(wish: AbortSignal) {
    if (wish.aborted) this.#controller.abort();
    else
      wish.addEventListener('abort', () => this.#controller.abort(), { once: true, signal: this.#controller.signal });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get halted(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Only the first failure counts: the others follow from it, or from the halt itself. */
  readonly fail = (error: unknown): void => {
    if (this.halted) return;
    this.#error = error;
    this.#controller.abort();
  };

  /** The work is over: whatever still waits need not. */
  end(): void {
    this.#controller.abort();
  }

  throwIfFailed(): void {
    if (this.#error !== null) throw this.#error;
  }
}
