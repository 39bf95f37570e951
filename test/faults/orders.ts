import { existsSync, linkSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What may befall a step. Those that are "held" wait until the test has done its part. */
export const faults = [
  'killed before its effect',
  'killed in the middle of its effect',
  'killed after its effect',
  'retryable error',
  'non-retryable error',
  'times out',
  'runs twice at once',
  'cancel before its effect',
  'cancel after its effect',
  'pause, then cancel',
  'terminated before its effect, repaired, wakes up',
  'terminated after its effect, repaired, wakes up',
  'its worker never comes back',
] as const;
export type Fault = (typeof faults)[number];

/** Defects that somebody could make, planted to see that the checker finds them. */
export type Plant =
  | 'does not happen' // the step says that it is done
  | 'device removed' // the file at `path` goes after the step
  | 'writes lost' // of what the step wrote to a node below `path` some is not there, as after a power loss without a flush
  | 'not fenced'; // held; then the volume's row is written without a look at the claim

/** One fault for one step of one volume's migration. It strikes once. */
export interface Order {
  step: string;
  what: Fault | Plant;
  path?: string;
}

/** How a step is told from others of the same activity: `releaseVolume:success`. */
export function stepOf(activityType: string, input: unknown): string {
  const { phase, outcome } = input as { phase?: string; outcome?: string };
  const which = phase ?? outcome;
  return which ? `${activityType}:${which}` : activityType;
}

/** Until the test has done its part, the step waits. */
type Held =
  | `cancel ${string}`
  | `pause, ${string}`
  | `terminated ${string}`
  | 'its worker never comes back'
  | 'not fenced';

export function isHeld(what: Order['what']): what is Extract<Order['what'], Held> {
  return /^cancel|^pause|^terminated|^its worker|^not fenced/.test(what);
}

/** How far an order is; `second`: the step's next try has begun; `over`: the try that it struck has come to its end. */
type Mark = 'struck' | 'held' | 'released' | 'second' | 'over';

/** Files by which a test and its workers talk; each of them may be killed at any time. */
export class OrderBook {
  readonly #folder: string;
  #given = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Orders for the next migration of the volume; the key of its page. */
  give(volumeId: string, orders: readonly Order[]): string {
    const key = `${volumeId}.${(this.#given += 1)}`;
    writeFileSync(this.#file(key, 'orders'), JSON.stringify(orders));
    this.#replace(this.#file(volumeId, 'next'), key);
    return key;
  }

  /** The page of a migration: what an earlier one of the same volume still does is not on it. Null: nobody gave orders for it. */
  keyOf(volumeId: string, runId: string): string | null {
    const own = this.#file(runId, 'key');
    const next = this.#file(volumeId, 'next');
    if (!existsSync(own) && existsSync(next)) linkIfNone(next, own);
    return existsSync(own) ? readFileSync(own, 'utf8') : null;
  }

  read(key: string): Order[] {
    return JSON.parse(readFileSync(this.#file(key, 'orders'), 'utf8')) as Order[];
  }

  /** Remembers that something happened; false when it had happened before. */
  mark(key: string, index: number, what: Mark): boolean {
    try {
      writeFileSync(this.#file(key, `${index}.${what}`), String(process.pid), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  marked(key: string, index: number, what: Mark): boolean {
    return existsSync(this.#file(key, `${index}.${what}`));
  }

  /** The try of a step that waits, or waited last, is this process's. */
  hold(key: string, index: number): void {
    this.#replace(this.#file(key, `${index}.held`), String(process.pid));
  }

  /** Whether a step was held, by a worker that was killed meanwhile: no more comes of that try. */
  isHolderDead(key: string, index: number): boolean {
    return this.marked(key, index, 'held') && !isAlive(Number(readFileSync(this.#file(key, `${index}.held`), 'utf8')));
  }

  note(key: string, step: Noted): void {
    writeFileSync(this.#file(key, 'steps'), `${JSON.stringify(step)}\n`, { flag: 'a' });
  }

  notes(key: string): Noted[] {
    return readFileSync(this.#file(key, 'steps'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Noted);
  }

  /** Whole or not at all, and another file than before: who has linked the old one keeps it. */
  #replace(file: string, text: string): void {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  #file(key: string, what: string): string {
    return join(this.#folder, `${key}.${what}`);
  }
}

/** A step that began, and whose queue it came from. */
interface Noted {
  activity: string;
  step: string;
  worker: string;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function linkIfNone(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
