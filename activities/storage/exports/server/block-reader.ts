import type { FileHandle } from 'node:fs/promises';
import { alignedMemory } from '../../copier/aligned-buffers.ts';
import { isZero } from '../../copier/digest-chain.ts';
import { blockBytes } from '../../copier/geometry.ts';

/** A block of the device in memory; nobody else gets its buffer until it is released. */
export interface Block {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly isZero: boolean;
}

/** Told of each block once it was read, while its bytes are there. */
export type OnBlock = (block: Block) => void;

interface Entry {
  readonly read: Promise<Block>;
  /** Null until there is a buffer for it. */
  buffer: Uint8Array | null;
  /** Who has asked for it and not released it yet. */
  users: number;
  settled: boolean;
}

/** Buffers that only somebody who waits for the block gets, never a block that is read ahead. */
const reserve = 8;

/**
 * Reads a device block by block into a fixed number of buffers, each block once for all who ask for it at the same time. What is read ahead
 * gives way to what is asked for. A block that cannot be read is asked of the device anew by who comes next.
 */
export class BlockReader {
  readonly #file: FileHandle;
  readonly #sizeBytes: number;
  readonly #onBlock: OnBlock;
  /** In the order of reading: the first that nobody uses is the first to go. */
  readonly #entries = new Map<number, Entry>();
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];

  constructor(file: FileHandle, sizeBytes: number, buffers: number, onBlock: OnBlock) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#onBlock = onBlock;
    const memory = alignedMemory(buffers * blockBytes);
    for (let i = 0; i < buffers; i += 1) this.#free.push(memory.subarray(i * blockBytes, (i + 1) * blockBytes));
  }

  /** Resolves when the block is there; to be released by whoever asked. Rejects with the error of the device. */
  async take(index: number): Promise<Block> {
    const entry = this.#entries.get(index) ?? this.#start(index);
    entry.users += 1;
    return entry.read;
  }

  /** `keep`: it may be asked for again soon, as somebody has seen a part of it only. */
  release({ index }: Block, keep: boolean): void {
    const entry = this.#entries.get(index)!;
    entry.users -= 1;
    if (entry.users > 0) return;
    if (!keep || this.#waiting.length > 0) this.#drop(index, entry);
  }

  /** Begins to read a block that somebody may ask for, if there is room for that. */
  ahead(index: number): void {
    if (index * blockBytes >= this.#sizeBytes || this.#entries.has(index) || this.#free.length <= reserve) return;
    this.#start(index);
  }

  #start(index: number): Entry {
    const { promise, resolve, reject } = Promise.withResolvers<Block>();
    const entry: Entry = { read: promise, buffer: null, users: 0, settled: false };
    this.#entries.set(index, entry);
    // Whoever asks for it gets the error; nobody may come to ask.
    promise.catch(() => undefined);
    this.#read(index, entry).then(
      (block) => {
        entry.settled = true;
        resolve(block);
        if (entry.users === 0 && this.#waiting.length > 0) this.#drop(index, entry);
      },
      (error: unknown) => {
        this.#drop(index, entry);
        reject(error);
      },
    );
    return entry;
  }

  async #read(index: number, entry: Entry): Promise<Block> {
    const buffer = (entry.buffer = await this.#buffer());
    const start = index * blockBytes;
    const bytes = buffer.subarray(0, Math.min(blockBytes, this.#sizeBytes - start));
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, start + done);
      if (bytesRead === 0) throw new Error('the device ends there');
      done += bytesRead;
    }
    const block = { index, bytes, isZero: isZero(bytes) };
    this.#onBlock(block);
    return block;
  }

  #buffer(): Promise<Uint8Array> | Uint8Array {
    const free = this.#free.pop();
    if (free) return free;
    for (const [index, entry] of this.#entries) {
      if (entry.users > 0 || !entry.settled) continue;
      this.#entries.delete(index);
      return entry.buffer!;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #drop(index: number, { buffer }: Entry): void {
    this.#entries.delete(index);
    if (!buffer) return;
    const next = this.#waiting.shift();
    if (next) next(buffer);
    else this.#free.push(buffer);
  }
}
