import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import type { VolumeDriver } from './driver.ts';

/** What a device seems to be whose file system was unmounted, or exchanged for another, after it was found and before it was used. */
const mayBeAway: ReadonlySet<FerryErrorType> = new Set([
  'DeviceMissing',
  'NotOwned',
  'NotProven',
  'SizeMismatch',
  'WrongDevice',
]);

type Activity = (input: never) => Promise<unknown>;

/**
 * The same activities. When one fails with what it found a device to be, each back end that its input names is asked once more whether it is
 * there: if it is not, that is the error, `BackEndUnavailable`. A verdict on a device is believed only of a back end that is there.
 */
export function blamingBackEnds<A extends Record<string, Activity>>(
  drivers: ReadonlyMap<string, VolumeDriver>,
  activities: A,
): A {
  const asking = Object.entries(activities).map(([name, activity]): [string, Activity] => [
    name,
    async (input) => {
      try {
        return await activity(input);
      } catch (error) {
        if (error instanceof FerryError && mayBeAway.has(error.type))
          for (const backEnd of backEndsOf(input)) await drivers.get(backEnd)?.list();
        throw error;
      }
    },
  ]);
  return Object.fromEntries(asking) as A;
}

/** The back ends that an activity works on: its own, and the source's of a copy within a node. */
function backEndsOf(input: unknown): string[] {
  if (typeof input !== 'object' || input === null) return [];
  const { backEnd, source } = input as { backEnd?: unknown; source?: unknown };
  return [...(typeof backEnd === 'string' ? [backEnd] : []), ...backEndsOf(source)];
}
