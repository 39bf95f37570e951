import { ActivityFailure, ApplicationFailure, log, patched, sleep, workflowInfo } from '@temporalio/workflow';
import type { FerryErrorType } from '../model/errors.ts';
import { registry } from './activities.ts';
import { describe, runCleanUp, type CleanUpStep } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';

/** A node that is away is asked again after this long; each round costs a handful of history events. */
const pauseBetweenRounds = '5m';

/** One round's patience: as long as a node that comes back needs to take the step up, without a new round. */
const roundSeconds = 24 * 3600;

/** A history of so many events is ended, and what is left goes on in a new one: far below what Temporal allows. */
const manyEvents = 1_000;

/** Whether a workflow that lasts should go on as a new run. */
export function hasLongHistory(): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || historyLength >= manyEvents;
}

/** Steps that are done one after the other where they are of one node; apart from those of all other lists. */
interface List {
  left: readonly CleanUpStep[];
}

/**
 * What must be taken away, however long its nodes stay away. `tell` hears before each round what is left of it, and why.
 */
export class LastingCleanUp {
  readonly #tell: (left: readonly string[]) => void;
  readonly #lists: List[] = [];
  readonly #rounds: Promise<void>[] = [];
  readonly #why = new Map<string, string>();
  readonly #leftAlone: string[] = [];

  constructor(tell: (left: readonly string[]) => void) {
    this.#tell = tell;
  }

  /** Begins to carry out those steps that it does not have yet. */
  add(steps: readonly CleanUpStep[]): void {
    const known = new Set(this.#left().map(keyOf));
    const left = steps.filter((step) => !known.has(keyOf(step)));
    if (left.length === 0) return;
    const list: List = { left };
    this.#lists.push(list);
    this.#rounds.push(this.#carryOut(list));
  }

  /**
   * Resolves when nothing is left, what was added meanwhile included; or with what is left, when the history is long and a new run shall go
   * on with it. Nothing may be awaited between this answer and the end of the run: what is added then would be lost.
   */
  async end(): Promise<CleanUpStep[]> {
    // It grows while it is waited for.
    for (let n = 0; n < this.#rounds.length; n += 1) await this.#rounds[n];
    return this.#left();
  }

  /** Why what is under a name was left alone: it is not what was to be taken away. */
  get leftAlone(): readonly string[] {
    return this.#leftAlone;
  }

  #left(): CleanUpStep[] {
    return this.#lists.flatMap(({ left }) => left);
  }

  async #carryOut(list: List): Promise<void> {
    while (list.left.length > 0) {
      this.#tell(this.#left().map((step) => `${describe(step)}${this.#why.get(keyOf(step)) ?? ''}`));
      list.left = await runCleanUp(list.left, roundSeconds, {
        isOver: async (step, error) => {
          const { message } = reasonOf(error);
          this.#why.set(keyOf(step), `: ${message}`);
          const over = await isOver(step, error);
          if (over) this.#leftAlone.push(message);
          return over;
        },
      });
      if (list.left.length === 0 || hasLongHistory()) return;
      await sleep(pauseBetweenRounds);
    }
  }
}

/** What a node answers that has no such device of ours: silence, or a back end that is away, is no answer. */
const answersOfNone: ReadonlySet<string> = new Set([
  'DeviceMissing',
  'NotOwned',
  'WrongDevice',
] satisfies FerryErrorType[]);

/**
 * Whether there is nothing to do any more for a step that failed so: its device is deleted, or is another's by now, or no node takes the step
 * as it is, however often. The device that shall hold a volume from now on is waited for as long as the registry says that the volume is on it.
 */
async function isOver(step: CleanUpStep, error: unknown): Promise<boolean> {
  // A step may ask others before: their answers are not about its device.
  if (!(error instanceof ActivityFailure) || error.activityType !== step.kind) return false;
  const type = error.cause instanceof ApplicationFailure ? error.cause.type : undefined;
  // Asked only where it counts: a history of before waited there.
  const endsNow = () => patched('what cannot succeed is left out of a clean-up');
  if (type === 'InvalidInput' && endsNow()) {
    log.warn('a step of a clean-up that no node takes is left out', { step: describe(step), error: reasonOf(error) });
    return true;
  }
  if (type === 'Forbidden' && step.kind === 'disownVolume') return cameToBe(step.volumeId);
  // What the registry does not want now it may want again, but for the settling of what it knows nothing of.
  const isNotWanted = type === 'Forbidden' && step.kind === 'settleDestination' && endsNow();
  if (!isNotWanted && !answersOfNone.has(type ?? '')) return false;
  if (step.kind !== 'settleDestination') return true;
  const { backEnd, deviceName } = step;
  return !(await registry.isCurrentLocation.executeWithOptions({ summary: `is a volume on ${deviceName}?` }, [
    { backEnd, deviceName },
  ]));
}

/** An attempt to manage a device failed, a later one under the same id did not: the device is its volume's. */
async function cameToBe(volumeId: string): Promise<boolean> {
  if (!patched('a volume that came to be keeps its device')) return false;
  return (await registry.whereabouts({ volumeId })).state === 'there';
}

/** Two steps of the same key are one. */
function keyOf(step: CleanUpStep): string {
  return JSON.stringify(Object.entries(step).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
