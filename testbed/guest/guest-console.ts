import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { panicIn } from '../console-words.ts';

/** What the guest has said of one of its disks. */
export interface DiskReport {
  /** All records up to this number are on the disk, says the guest. */
  readonly acked: number;
  readonly errors: number;
  /** The longest a single write took. Milliseconds. */
  readonly longestStallMs: number;
  /** The disk was taken out, and no disk of that name came since. */
  readonly gone: boolean;
  readonly begun: boolean;
  /** Lines in which the guest's kernel complains of it. */
  readonly complaints: readonly string[];
}

export interface GuestReport {
  readonly up: boolean;
  readonly disks: ReadonlyMap<string, DiskReport>;
}

const nothing: DiskReport = { acked: 0, errors: 0, longestStallMs: 0, gone: false, begun: false, complaints: [] };

/** Reads what a guest's serial console has shown so far. */
export function readConsole(text: string): GuestReport {
  const disks = new Map<string, DiskReport>();
  let up = false;
  // The last line may not have come to its end yet.
  for (const line of text.split('\n').slice(0, -1)) {
    if (line.startsWith('guest up')) up = true;
    const [, complained] = /error, dev (vd[a-z]+)/.exec(line) ?? [];
    const [, told, said = ''] = /^(vd[a-z]+) (.*?)\r?$/.exec(line) ?? [];
    const disk = complained ?? told;
    if (!disk) continue;
    const before = disks.get(disk) ?? nothing;
    disks.set(disk, complained ? { ...before, complaints: [...before.complaints, line.trim()] } : next(before, said));
  }
  return { up, disks };
}

function next(before: DiskReport, said: string): DiskReport {
  // Another disk of the same name, or the same one after a new start.
  if (said.startsWith('begin')) return { ...nothing, begun: true };
  if (said === 'gone') return { ...before, acked: 0, gone: true };
  if (said.startsWith('error')) return { ...before, errors: before.errors + 1 };
  const [, acked, worst] = /^acked=(\d+) worst_us=(\d+)$/.exec(said) ?? [];
  if (!acked || !worst) return before;
  return { ...before, acked: Number(acked), longestStallMs: Math.max(before.longestStallMs, Number(worst) / 1000) };
}

/** A guest's serial console, as the file that QEMU writes. */
export class GuestConsole {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async report(): Promise<GuestReport> {
    return readConsole(await readFile(this.path, 'latin1').catch(() => ''));
  }

  async disk(name: string): Promise<DiskReport> {
    return (await this.report()).disks.get(name) ?? nothing;
  }

  /** Waits until the guest's system is up. Rejects at once when its kernel has panicked. */
  async up(patienceMs = 180_000): Promise<void> {
    await this.#until(patienceMs, 'the guest to come up', async () => {
      const text = await readFile(this.path, 'latin1').catch(() => '');
      const panic = panicIn(text);
      if (panic !== null) throw new Error(`The guest did not come up: ${panic}`);
      return readConsole(text).up ? true : null;
    });
  }

  /** Waits until the guest has acknowledged `more` further records on that disk; answers with the last number. */
  async progress(name: string, more = 1, patienceMs = 180_000): Promise<number> {
    const from = (await this.disk(name)).acked;
    return this.#until(patienceMs, `${more} more records on ${name}`, async () => {
      const { acked } = await this.disk(name);
      return acked >= from + more ? acked : null;
    });
  }

  /** Waits until the guest says that the disk is gone. */
  async gone(name: string, patienceMs = 180_000): Promise<void> {
    await this.#until(patienceMs, `${name} to go`, async () => ((await this.disk(name)).gone ? true : null));
  }

  async #until<T>(patienceMs: number, what: string, look: () => Promise<T | null>): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      if (Date.now() > deadline) {
        const text = await readFile(this.path, 'latin1').catch(() => '');
        throw new Error(`waited in vain for ${what}; the console's end:\n${text.slice(-1500)}`);
      }
      await sleep(100);
    }
  }
}
