import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import type { Past } from './past.ts';
import type { Tally } from './tally.ts';

/** For what must come to an end by itself on a busy machine on which everything is killed now and then. Milliseconds. */
const patienceMs = 600_000;
/** Between two looks. Milliseconds. */
const lookEveryMs = 500;

/** Nothing was done. */
const refusals: ReadonlySet<FerryErrorType> = new Set([
  'BackEndDisabled',
  'BackEndDown',
  'SameBackEnd',
  'VolumeMigrating',
  'VolumeBusy',
  'VolumeHasSnapshots',
  'VolumeStatusRefused',
  'InsufficientSpace',
  'MigrationRefused',
  'NotMigrating',
  'PastPointOfNoReturn',
  'AttachmentNotFound',
]);
/** It may have been done, or not, or in part; what is left of it is tidied up. */
const failures: ReadonlySet<FerryErrorType> = new Set([
  'ServiceUnreachable',
  'NodeUnavailable',
  'ToolFailed',
  'DeviceInUse',
  'VolumeInUse',
  'BackEndUnavailable',
  'SourceUnreachable',
  // Its export's server was killed just before the guest was to have it.
  'InstanceNotReady',
  'NoProgress',
  'Cancelled',
  'Terminated',
]);

export type Answer<T> = { how: 'done'; value: T } | { how: 'refused' | 'unclear'; type: FerryErrorType };

/** Something happened that must never happen. */
export class Violation extends Error {}

/** Asks Ferry once. What is neither a refusal nor a failure that a disturbance explains is a violation. */
export async function ask<T>(
  { tally, past }: { tally: Tally; past: Past },
  what: string,
  question: () => Promise<T>,
): Promise<Answer<T>> {
  const since = past.now();
  try {
    const value = await question();
    tally.count(what, 'done');
    return { how: 'done', value };
  } catch (error) {
    if (!(error instanceof FerryError)) throw new Violation(`${what}: ${inspect(error)}`);
    const { type } = error;
    tally.count(what, type);
    // Deleted in an earlier try whose answer got lost.
    if (what.startsWith('delete') && (type === 'VolumeNotFound' || type === 'SnapshotNotFound'))
      return { how: 'refused', type };
    if (refusals.has(type)) return { how: 'refused', type };
    if (failures.has(type) || past.explains(since, type)) return { how: 'unclear', type };
    throw new Violation(`${what}: ${type}: ${error.message}`);
  }
}

/** Looks until the answer is yes; a look that fails is no answer. When it never is: a violation, with the `state` that was found then. */
export async function until(
  what: string,
  look: (nth: number) => Promise<boolean>,
  state: () => Promise<unknown>,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  let last: unknown = null;
  for (let nth = 0; Date.now() < deadline; nth++) {
    try {
      if (await look(nth)) return;
    } catch (error) {
      // Postgres or Temporal is away at the moment.
      if (error instanceof Violation || (error as { code?: string }).code === 'ERR_ASSERTION') throw error;
      last = error;
    }
    await sleep(lookEveryMs);
  }
  const found = JSON.stringify(await state().catch(() => null));
  throw new Violation(`not so after ${patienceMs / 1000} s: ${what}; ${found}; ${String(last)}`);
}
