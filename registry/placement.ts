import * as z from 'zod';
import { backEnd } from '../model/back-end.ts';
import type { Reason } from '../model/errors.ts';
import { choosePlace, placesIn } from '../model/placement/choose-place.ts';
import { reasonNotToGo } from '../model/placement/refusals.ts';
import { reasonsNotToLeave, reasonsNotToPlace } from '../model/preconditions.ts';
import type { Asking } from '../model/volume-type.ts';
import { leavingFacts } from './migration-facts.ts';
import { gatherRooms } from './move-facts.ts';
import type { Queries, Registry } from './open-registry.ts';
import { volumeTypeOrNull } from './volume-types.ts';

const promise = z.object({ bytes: z.number(), now: z.date() });

/** Every reason why a back end may not take so many bytes more now, of a volume of that type. */
export async function reasonsAgainstPlacing(
  q: Queries,
  wanted: { backEnd: string; what: string; neededBytes: number; volumeType: Asking | null },
): Promise<Reason[]> {
  const [place] = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [wanted.backEnd]);
  const [promised] = await q.rows(promise, 'SELECT promised_bytes($1) AS bytes, now()::timestamptz(3) AS now', [
    wanted.backEnd,
  ]);
  return reasonsNotToPlace({
    destinationName: wanted.backEnd,
    destination: place ?? null,
    what: wanted.what,
    neededBytes: wanted.neededBytes,
    volumeType: wanted.volumeType,
    promisedBytes: promised!.bytes,
    now: promised!.now,
  });
}

/**
 * Where a volume goes that is to leave where it is: a back end of its zone, chosen as for all placing, that has what the type asks for
 * (its own, if not given). Or every reason why it may not leave, or can go nowhere. `except`: where it shall not go. Nothing is promised
 * by it: the claim decides.
 */
export function chooseDestination(
  registry: Registry,
  wanted: { volumeId: string; type?: Asking; except?: ReadonlySet<string> },
): Promise<{ destination: string } | { reasons: [Reason, ...Reason[]] }> {
  return registry.transaction(async (q) => {
    const facts = await leavingFacts(q, wanted.volumeId);
    const { volume } = facts;
    const [first, ...others] = reasonsNotToLeave(facts);
    if (first) return { reasons: [first, ...others] };
    const { volumeType: own, sizeBytes, host } = volume!;
    const availabilityZone = facts.source?.availabilityZone ?? null;
    const volumeType = wanted.type ?? (own === null ? null : await volumeTypeOrNull(q, own));
    const asked = { sizeBytes, volumeType, availabilityZone };
    const places = placesIn(await gatherRooms(q), facts.now).filter(
      ({ backEnd: { name } }) => name !== host && !wanted.except?.has(name),
    );
    const choice = choosePlace(places, asked);
    return choice.place
      ? { destination: choice.place.backEnd.name }
      : { reasons: [reasonNotToGo(choice, volume!, asked)] };
  }, 'snapshot');
}
