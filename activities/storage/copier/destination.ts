import type { FileHandle } from 'node:fs/promises';
import { FerryError } from '../../../model/errors.ts';
import { inspectDevice, type DeviceFacts } from './block-device.ts';
import { lockDevice, type DeviceLock } from './device-lock.ts';
import { openDevice } from './open-device.ts';

/**
 * So much may wait in the page cache, where writes go through it: the kernel would take gigabytes at once, and their flush minutes in which
 * no byte seems to move.
 */
const mostUnflushed = 64 * 1024 ** 2;

/**
 * The device that is written to: locked, open, of the expected size. Errors are `DestinationWriteFailed` with an offset, and
 * `InsufficientSpace` where there is no room for what was promised.
 */
export class Destination {
  readonly facts: DeviceFacts;
  readonly lock: DeviceLock;
  readonly #file: FileHandle;
  readonly #isDirect: boolean;
  /** Bytes written so far, and how many of these are flushed. */
  #written = 0;
  #flushed = 0;
  #flushing: Promise<void> | null = null;

  private constructor(facts: DeviceFacts, lock: DeviceLock, opened: { file: FileHandle; isDirect: boolean }) {
    this.facts = facts;
    this.lock = lock;
    this.#file = opened.file;
    this.#isDirect = opened.isDirect;
  }

  static async open(path: string, sizeBytes: number): Promise<Destination> {
    const facts = await inspectDevice(path, sizeBytes);
    // The lock comes first: who has the device open without it is about to be refused, and never writes.
    const lock = await lockDevice(facts.identity);
    try {
      return new Destination(facts, lock, await openDevice(facts, 'write'));
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    while (!this.#isDirect && this.#written - this.#flushed >= mostUnflushed)
      await (this.#flushing ??= this.flush(offset).finally(() => (this.#flushing = null)));
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#try(offset + done, () =>
        this.#file.write(bytes, done, bytes.length - done, offset + done),
      );
      done += bytesWritten;
      this.#written += bytesWritten;
    }
  }

  /** Only what was written before this was called, and only if it returns, is safe on the medium. */
  async flush(since: number): Promise<void> {
    const written = this.#written;
    await this.#try(since, () => this.#file.datasync());
    this.#flushed = Math.max(this.#flushed, written);
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.lock.release();
  }

  async #try<T>(offset: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { path } = this.facts;
      const { code, message } = error as NodeJS.ErrnoException;
      const text = `The destination ${path} cannot be written at byte ${offset}: ${message}`;
      if (code === 'ENOSPC' || code === 'EDQUOT')
        throw new FerryError('InsufficientSpace', text, { path, offset, code }, { cause: error });
      throw new FerryError('DestinationWriteFailed', text, { path, offset, code }, { cause: error });
    }
  }
}
