import { mayPlace, type BackEnd, type ObservedBackEnd } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import { satisfies, type Asking } from '../model/volume-type.ts';
import { formatBytes } from '../model/sizes.ts';

/**
 * Where a new volume goes when its creator does not say: the enabled, running back end (of the zone) with the most free space, of those
 * that have what its type asks for.
 */
export function chooseBackEnd(
  backEnds: readonly ObservedBackEnd[],
  wanted: { sizeBytes: number; availabilityZone?: string | undefined; volumeType?: Asking | null },
): BackEnd {
  const { sizeBytes: needed, availabilityZone: zone, volumeType = null } = wanted;
  const usable = backEnds.filter((b) => mayPlace(b, b.asOf) && (zone === undefined || b.availabilityZone === zone));
  const where = zone === undefined ? '' : ` in zone ${zone}`;
  const capable = usable.filter((b) => satisfies(b, volumeType));
  const [best] = capable.toSorted((a, b) => b.freeBytes - a.freeBytes || (a.name < b.name ? -1 : 1));
  if (!best && volumeType && usable.length > 0) {
    // Tenants read this too: what the type asks for is not told.
    throw new FerryError(
      'CapabilityMissing',
      `No enabled, running back end${where} has what volume type ${volumeType.name} asks for. See: ferry type show ${volumeType.name}`,
      { volumeType: volumeType.name },
    );
  }
  if (!best) {
    throw new FerryError('BackEndNotFound', `No back end${where} is enabled and running. See: ferry host list --long`);
  }
  if (best.freeBytes < needed) {
    throw new FerryError(
      'InsufficientSpace',
      `No back end${where} has ${formatBytes(needed)} free; ${best.name} has the most, ${formatBytes(best.freeBytes)}.`,
      { freeBytes: best.freeBytes, neededBytes: needed },
    );
  }
  return best;
}
