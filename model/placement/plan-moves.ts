import type { Reason } from '../errors.ts';
import type { MoveLimits, MoveOrder, MovePlan, PlannedMove } from '../evacuation.ts';
import { nodeOf } from '../ids.ts';
import { reasonsNotToLeave, reasonsNotToPlace } from '../preconditions.ts';
import { satisfies, type Asking } from '../volume-type.ts';
import type { Attachment, Volume } from '../volume.ts';
import { choosePlace, placesIn, type Place, type Room } from './choose-place.ts';
import { reasonNotToGo } from './refusals.ts';

/** A volume, as far as it decides whether it may move. */
export interface PlannedVolume {
  volume: Volume;
  snapshots: number;
  attachments: readonly Pick<Attachment, 'instanceId' | 'mode'>[];
  /** The type that it has, or gets by the move; null: none. */
  type: Asking | null;
}

/** Another's work on the volume: it is over some time. */
const passingTypes: ReadonlySet<Reason['type']> = new Set(['VolumeMigrating', 'VolumeBusy']);

/** Every reason why none of the named destinations can be used at all; empty when all can. */
export function reasonsAgainstDestinations(
  to: readonly string[],
  sources: ReadonlySet<string>,
  rooms: readonly Room[],
  now: Date,
): Reason[] {
  return to.flatMap((name): Reason[] => {
    if (sources.has(name))
      return [{ type: 'SameBackEnd', message: `Back end ${name} is one that is to be emptied; name another one.` }];
    const room = rooms.find(({ backEnd }) => backEnd.name === name);
    return reasonsNotToPlace({
      destinationName: name,
      destination: room?.backEnd ?? null,
      what: 'an evacuation',
      neededBytes: 0,
      promisedBytes: 0,
      volumeType: null,
      now,
    });
  });
}

/**
 * Where each volume goes, so that the destinations fill evenly: those with the fewest back ends to choose from are placed first, of
 * equals the largest, each where
 * `choosePlace` says. Destinations are the enabled, running back ends of the volume's zone, or those of `to`, that have what its
 * type asks for. Where none has, the volume stays; where all that have are full, it is homeless.
 */
export function planEvacuation(facts: {
  volumes: readonly PlannedVolume[];
  sources: ReadonlySet<string>;
  rooms: readonly Room[];
  to: readonly string[];
  order: MoveOrder;
  now: Date;
}): MovePlan {
  const { sources, rooms, to, now } = facts;
  const zones = new Map(rooms.map(({ backEnd }) => [backEnd.name, backEnd.availabilityZone]));
  const places = placesIn(rooms, now)
    .filter(({ backEnd }) => !sources.has(backEnd.name))
    .filter(({ backEnd }) => to.length === 0 || to.includes(backEnd.name));
  const plan: MovePlan = { moves: [], stays: [], homeless: [] };
  const choices = new Map<Asking | null, number>();
  for (const { type } of facts.volumes)
    if (!choices.has(type)) choices.set(type, places.filter(({ backEnd }) => satisfies(backEnd, type)).length);
  const hardestFirst = facts.volumes.toSorted(
    (a, b) => choices.get(a.type)! - choices.get(b.type)! || b.volume.sizeBytes - a.volume.sizeBytes || byId(a, b),
  );
  for (const { volume, snapshots, attachments, type } of hardestFirst) {
    const { id: volumeId, sizeBytes, host: source } = volume;
    const room = rooms.find(({ backEnd }) => backEnd.name === source);
    const reasons = reasonsNotToLeave({
      volumeId,
      volume,
      snapshots,
      attachments,
      source: room?.backEnd ?? null,
      now,
    });
    if (reasons.length > 0) {
      const passing = reasons.some(({ type }) => passingTypes.has(type));
      plan.stays.push({ volumeId, sizeBytes, source, reasons, passing });
      continue;
    }
    const zone = zones.get(source);
    const availabilityZone = to.length > 0 ? null : (zone ?? null);
    const asked = { sizeBytes, volumeType: type, availabilityZone };
    const choice = choosePlace(places, asked);
    if (!choice.place) {
      const reasons = [reasonNotToGo(choice, volume, asked)];
      // What no back end is of its kind for stays; what is only too large for those that are is homeless.
      (choice.lacking === 'capable' ? plan.stays : plan.homeless).push({
        volumeId,
        sizeBytes,
        source,
        reasons,
        passing: false,
      });
      continue;
    }
    const { place } = choice;
    place.freeBytes -= sizeBytes;
    plan.moves.push({ volumeId, sizeBytes, attached: attachments.length > 0, source, destination: place.backEnd.name });
  }
  plan.moves.sort(orders[facts.order]);
  return plan;
}

/**
 * The moves that even out the fill levels of the back ends in each zone, as few bytes as it takes: as long as the fullest and the
 * emptiest are more than `threshold` (0.1 is ten percent of capacity) apart, the volume that brings them closest together goes over. Two
 * between which nothing can go (no volume is small enough, or of a type that asks for no more than the emptier one has) are left as they
 * are, and the next two looked at.
 */
export function planBalance(facts: {
  volumes: readonly PlannedVolume[];
  rooms: readonly Room[];
  zone: string | null;
  threshold: number;
  now: Date;
}): PlannedMove[] {
  const { rooms, zone, threshold, now } = facts;
  const zones = Map.groupBy(placesIn(rooms, now), ({ backEnd }) => backEnd.availabilityZone);
  return [...zones].flatMap(([name, members]) =>
    zone === null || zone === name ? balanceZone(members, facts.volumes, threshold, now) : [],
  );
}

function balanceZone(
  places: readonly Place[],
  volumes: readonly PlannedVolume[],
  threshold: number,
  now: Date,
): PlannedMove[] {
  const movable = Map.groupBy(
    volumes.filter(({ volume, snapshots, attachments }) => {
      const source = places.find(({ backEnd }) => backEnd.name === volume.host)?.backEnd ?? null;
      const facts = { volumeId: volume.id, volume, snapshots, attachments, source, now };
      return source !== null && reasonsNotToLeave(facts).length === 0;
    }),
    ({ volume }) => volume.host,
  );
  const moves: PlannedMove[] = [];
  for (;;) {
    const step = nextStep(places, movable, threshold);
    if (!step) return moves;
    const { from, to, best } = step;
    const { volume, attachments } = best;
    from.freeBytes += volume.sizeBytes;
    to.freeBytes -= volume.sizeBytes;
    // A volume moves once in a plan.
    movable.set(
      from.backEnd.name,
      movable.get(from.backEnd.name)!.filter((each) => each !== best),
    );
    moves.push({
      volumeId: volume.id,
      sizeBytes: volume.sizeBytes,
      attached: attachments.length > 0,
      source: from.backEnd.name,
      destination: to.backEnd.name,
    });
  }
}

/** The two furthest apart between which a volume can go, and that volume. Null when nothing is left to even out. */
function nextStep(
  places: readonly Place[],
  movable: ReadonlyMap<string, readonly PlannedVolume[]>,
  threshold: number,
): { from: Place; to: Place; best: PlannedVolume } | null {
  const byFill = places.toSorted(
    (a, b) => a.fillAfter(0) - b.fillAfter(0) || (a.backEnd.name < b.backEnd.name ? -1 : 1),
  );
  for (const from of byFill.toReversed()) {
    for (const to of byFill) {
      if (from.fillAfter(0) - to.fillAfter(0) <= threshold) break;
      const best = bestToGo(from, to, movable.get(from.backEnd.name) ?? []);
      if (best) return { from, to, best };
    }
  }
  return null;
}

/** The volume after whose move the two are closest to each other; of equals the smallest. Null when none brings them closer. */
function bestToGo(from: Place, to: Place, candidates: readonly PlannedVolume[]): PlannedVolume | null {
  let best: PlannedVolume | null = null;
  let closest = from.fillAfter(0) - to.fillAfter(0);
  for (const each of candidates) {
    const bytes = each.volume.sizeBytes;
    if (bytes > to.freeBytes || !satisfies(to.backEnd, each.type)) continue;
    const apart = Math.abs(from.fillAfter(-bytes) - to.fillAfter(bytes));
    if (apart < closest || (apart === closest && best !== null && each.volume.sizeBytes < best.volume.sizeBytes)) {
      best = each;
      closest = apart;
    }
  }
  return best;
}

/** Which of the waiting moves may begin beside the running ones. Both and the answer in the order of the plan. */
export function chooseMoves<M extends Pick<PlannedMove, 'source' | 'destination'>>(
  waiting: readonly M[],
  running: readonly Pick<PlannedMove, 'source' | 'destination'>[],
  limits: MoveLimits,
): M[] {
  const atSource = countBy(running.map(({ source }) => nodeOf(source)));
  const atDestination = countBy(running.map(({ destination }) => nodeOf(destination)));
  const chosen: M[] = [];
  for (const move of waiting) {
    if (running.length + chosen.length >= limits.total) break;
    const from = nodeOf(move.source);
    const to = nodeOf(move.destination);
    const [leaving, arriving] = [atSource.get(from) ?? 0, atDestination.get(to) ?? 0];
    if (leaving >= limits.perSourceNode || arriving >= limits.perDestinationNode) continue;
    atSource.set(from, leaving + 1);
    atDestination.set(to, arriving + 1);
    chosen.push(move);
  }
  return chosen;
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

const byId = (a: PlannedVolume, b: PlannedVolume) => (a.volume.id < b.volume.id ? -1 : 1);
const bySize = (a: PlannedMove, b: PlannedMove) => a.sizeBytes - b.sizeBytes || (a.volumeId < b.volumeId ? -1 : 1);
const orders: Record<MoveOrder, (a: PlannedMove, b: PlannedMove) => number> = {
  smallest: bySize,
  largest: (a, b) => bySize(b, a),
  'detached-first': (a, b) => Number(a.attached) - Number(b.attached) || bySize(b, a),
};
