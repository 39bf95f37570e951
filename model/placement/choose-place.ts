import { mayPlace, type BackEnd } from '../back-end.ts';
import { satisfies, type Asking } from '../volume-type.ts';

/** A back end, and what is promised to migrations and creations that are on their way to it. */
export interface Room {
  backEnd: BackEnd;
  promisedBytes: number;
}

/** A back end while a plan fills it. */
export class Place {
  readonly backEnd: BackEnd;
  freeBytes: number;

  constructor({ backEnd, promisedBytes }: Room) {
    this.backEnd = backEnd;
    this.freeBytes = backEnd.freeBytes - promisedBytes;
  }

  /** The part of its capacity that is used with so many bytes more. */
  fillAfter(bytes: number): number {
    return this.backEnd.totalBytes === 0 ? 1 : 1 - (this.freeBytes - bytes) / this.backEnd.totalBytes;
  }
}

/** Where volumes may be placed at all: enabled, running, sound. `now` is Postgres' time. */
export function placesIn(rooms: readonly Room[], now: Date): Place[] {
  return rooms.filter(({ backEnd }) => mayPlace(backEnd, now)).map((room) => new Place(room));
}

/** What is to be placed. */
export interface Wanted {
  sizeBytes: number;
  /** What its type asks for; null: nothing. */
  volumeType: Asking | null;
  /** The zone to choose from; null: all. */
  availabilityZone: string | null;
}

/** Where it goes; or what no place has: any that may be used, one that satisfies the type, or room on one that does. */
export type Choice =
  | { place: Place }
  | { place: null; lacking: 'usable' | 'capable' }
  /** `most`: the one with the most free space of those that satisfy the type. */
  | { place: null; lacking: 'room'; most: Place };

/**
 * Where a volume goes, for everything that places one (create, migrate, retype, evacuate): of the places in its zone that satisfy its
 * type and have room for it, the one that is the least full afterwards; of equals the first by name.
 */
export function choosePlace(places: readonly Place[], wanted: Wanted): Choice {
  const { sizeBytes, volumeType, availabilityZone } = wanted;
  const usable = places.filter(
    ({ backEnd }) => availabilityZone === null || backEnd.availabilityZone === availabilityZone,
  );
  if (usable.length === 0) return { place: null, lacking: 'usable' };
  const capable = usable.filter(({ backEnd }) => satisfies(backEnd, volumeType));
  const [most] = capable.toSorted((a, b) => b.freeBytes - a.freeBytes || byName(a, b));
  if (!most) return { place: null, lacking: 'capable' };
  const [place] = capable
    .filter(({ freeBytes }) => freeBytes >= sizeBytes)
    .toSorted((a, b) => a.fillAfter(sizeBytes) - b.fillAfter(sizeBytes) || byName(a, b));
  return place ? { place } : { place: null, lacking: 'room', most };
}

const byName = (a: Place, b: Place) => (a.backEnd.name < b.backEnd.name ? -1 : 1);
