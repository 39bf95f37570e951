// TypeScript knows WebAssembly only together with the whole browser.
declare const WebAssembly: { Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer } };

const pageBytes = 64 * 1024;

/** Zeroed memory that starts on a page, which nothing else in Node promises: O_DIRECT refuses any other. */
export function alignedMemory(bytes: number): Uint8Array {
  return new Uint8Array(new WebAssembly.Memory({ initial: Math.ceil(bytes / pageBytes) }).buffer, 0, bytes);
}

/** A fixed number of aligned buffers. Who finds none waits: that is what holds a fast source back, and memory flat. */
export class BufferPool {
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];

  constructor(count: number, bytes: number) {
    const memory = alignedMemory(count * bytes);
    for (let i = 0; i < count; i += 1) this.#free.push(memory.subarray(i * bytes, (i + 1) * bytes));
  }

  /** Buffers are handed out in the order of asking. */
  take(): Promise<Uint8Array> | Uint8Array {
    return this.#free.pop() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(buffer: Uint8Array): void {
    const next = this.#waiting.shift();
    if (next) next(buffer);
    else this.#free.push(buffer);
  }
}
