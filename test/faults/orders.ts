import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

  constructor(folder: string) {
    this.#folder = folder;
  }

  give(volumeId: string, orders: readonly Order[]): void {
    writeFileSync(this.#file(volumeId, 'orders'), JSON.stringify(orders));
  }

  read(volumeId: string): Order[] {
    const file = this.#file(volumeId, 'orders');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Order[]) : [];
  }

  /** Remembers that something happened; false when it had happened before. */
  mark(volumeId: string, index: number, what: Mark): boolean {
    try {
      writeFileSync(this.#file(volumeId, `${index}.${what}`), String(process.pid), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  marked(volumeId: string, index: number, what: Mark): boolean {
    return existsSync(this.#file(volumeId, `${index}.${what}`));
  }

  note(volumeId: string, step: { activity: string; step: string; worker: string }): void {
    writeFileSync(this.#file(volumeId, 'steps'), `${JSON.stringify(step)}\n`, { flag: 'a' });
  }

  /** The steps so far are of another migration. */
  forget(volumeId: string): void {
    rmSync(this.#file(volumeId, 'steps'), { force: true });
  }

  notes(volumeId: string): { activity: string; step: string; worker: string }[] {
    return readFileSync(this.#file(volumeId, 'steps'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { activity: string; step: string; worker: string });
  }

  #file(volumeId: string, what: string): string {
    return join(this.#folder, `${volumeId}.${what}`);
  }
}
