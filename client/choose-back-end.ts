import { backEndState, type BackEnd } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import { formatBytes, gib } from '../model/sizes.ts';

/** Where a new volume goes when its creator does not say: the enabled, running back end (of the zone) with the most free space. */
export function chooseBackEnd(
  backEnds: readonly BackEnd[],
  wanted: { sizeGib: number; availabilityZone?: string | undefined },
  now: Date,
): BackEnd {
  const { sizeGib, availabilityZone: zone } = wanted;
  const usable = backEnds.filter(
    (b) => !b.disabled && backEndState(b, now) === 'up' && (zone === undefined || b.availabilityZone === zone),
  );
  const where = zone === undefined ? '' : ` in zone ${zone}`;
  const [best] = usable.toSorted((a, b) => b.freeBytes - a.freeBytes || (a.name < b.name ? -1 : 1));
  if (!best) {
    throw new FerryError('BackEndNotFound', `No back end${where} is enabled and running. See: ferry host list --long`);
  }
  const needed = sizeGib * gib;
  if (best.freeBytes < needed) {
    throw new FerryError(
      'InsufficientSpace',
      `No back end${where} has ${formatBytes(needed)} free; ${best.name} has the most, ${formatBytes(best.freeBytes)}.`,
      { freeBytes: best.freeBytes, neededBytes: needed },
    );
  }
  return best;
}
