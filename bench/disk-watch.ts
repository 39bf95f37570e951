import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestConsole } from '../testbed/guest/guest-console.ts';

/** How often the console is looked at: so exactly is known when something was told. Milliseconds. */
const lookEveryMs = 50;

/** What a guest tells of one of its disks while somebody watches: how long its slowest write took, second by second. */
export class DiskWatch {
  readonly #told: { at: number; worstMs: number }[] = [];
  readonly #gone = new AbortController();
  readonly #watching: Promise<void>;

  private constructor(console: GuestConsole, device: string, from: number) {
    this.#watching = this.#watch(console, device, from);
  }

  /** Hears what is told from now on. */
  static async start(console: GuestConsole, device: string): Promise<DiskWatch> {
    return new DiskWatch(console, device, (await readFile(console.path, 'latin1')).length);
  }

  async stop(): Promise<void> {
    this.#gone.abort();
    await this.#watching;
  }

  /** The longest that was told between two moments (milliseconds since the epoch). Milliseconds; 0 if nothing was. */
  longest(from: number, to: number): number {
    const told = this.#told.filter(({ at }) => at >= from && at <= to).map(({ worstMs }) => worstMs);
    return Math.max(0, ...told);
  }

  async #watch({ path }: GuestConsole, device: string, from: number): Promise<void> {
    const worst = new RegExp(`^${device} acked=\\d+ worst_us=(\\d+)\\r?$`);
    for (let read = from; ; await sleep(lookEveryMs)) {
      const text = await readFile(path, 'latin1');
      const whole = text.lastIndexOf('\n') + 1;
      const at = Date.now();
      for (const line of text.slice(read, whole).split('\n')) {
        const [, us] = worst.exec(line) ?? [];
        if (us) this.#told.push({ at, worstMs: Number(us) / 1000 });
      }
      read = Math.max(read, whole);
      if (this.#gone.signal.aborted) return;
    }
  }
}
