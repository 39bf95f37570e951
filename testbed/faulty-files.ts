import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { sharedLibrary } from './shared-library.ts';

/** What is wrong with the files below a folder, or with one file. */
export interface FileFault {
  /** The share of reads, writes and flushes that end with EIO: 0 to 1. */
  errors?: number;
  /** How long each of them takes at least. Milliseconds. */
  delayMs?: number;
  /** The share of a copier's writes of which one bit is another one on the disk: 0 to 1. Nobody else's. */
  flips?: number;
}

// As in faulty-files.c. Bytes, and how many folders can be faulty at once.
const entryBytes = 256;
const entries = 16;
const header = 16;

/**
 * Files that fail as devices do: for the workers started with `env`, the copiers and export servers that they start, and whatever else
 * they run. What goes by io_uring is refused to them, so that it goes where it can be made to fail.
 */
export class FaultyFiles {
  /** For a worker's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #table: FileHandle;
  readonly #faulty: (string | null)[] = Array.from({ length: entries }, () => null);

  private constructor(env: Record<string, string>, table: FileHandle) {
    this.env = env;
    this.#table = table;
  }

  /** With its table at `path`. */
  static async open(path: string): Promise<FaultyFiles> {
    const library = await sharedLibrary(join(import.meta.dirname, 'faulty-files.c'));
    const table = await open(path, 'w');
    await table.truncate(entries * entryBytes);
    const preload = new URL('faulty-copiers.ts', import.meta.url).href;
    const env = { LD_PRELOAD: library, FERRY_FAULTY_FILES: path, NODE_OPTIONS: `--import=${preload}` };
    return new FaultyFiles(env, table);
  }

  /** In force at once, also for what is open. `folder` may be a file. Forgets another fault of the same folder. */
  async inject(folder: string, { errors = 0, delayMs = 0, flips = 0 }: FileFault): Promise<void> {
    await this.heal(folder);
    const name = Buffer.from(folder);
    const n = this.#faulty.indexOf(null);
    if (n === -1 || name.length > entryBytes - header) throw new Error(`no room for a fault of ${folder}`);
    this.#faulty[n] = folder;
    const entry = Buffer.alloc(entryBytes);
    entry.writeUInt32LE(Math.round(errors * 1_000_000), 4);
    entry.writeUInt32LE(delayMs, 8);
    entry.writeUInt32LE(Math.round(flips * 1_000_000), 12);
    name.copy(entry, header);
    await this.#table.write(entry, 0, entryBytes, n * entryBytes);
    // Last, as the programs look all the time.
    await this.#turn(n, 1);
  }

  async heal(folder: string): Promise<void> {
    for (const [n, faulty] of this.#faulty.entries()) {
      if (faulty !== folder) continue;
      this.#faulty[n] = null;
      await this.#turn(n, 0);
    }
  }

  async close(): Promise<void> {
    await this.#table.close();
  }

  async #turn(n: number, on: 0 | 1): Promise<void> {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(on);
    await this.#table.write(word, 0, word.length, n * entryBytes);
  }
}
