import { ApplicationFailure, ActivityFailure, patched } from '@temporalio/workflow';
import type { AbandonedClaim } from '../activities/repair/create-repair-activities.ts';
import type { Reason } from '../model/errors.ts';
import type { Claim } from '../model/migration.ts';
import type { GuestSide, RepairDirection } from '../model/repair.ts';
import { nodeOf } from '../model/ids.ts';
import { registry, repair, storageSteps } from './activities.ts';
import { askGuest } from './ask-guest.ts';
import { causeOf, cleanUpOrHandOver } from './clean-up-or-hand-over.ts';
import { describe, keepingSource, type CleanUpStep, type Successor } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';

/** What the record of a migration says that was ended from outside. */
export const terminated: Reason = {
  type: 'Terminated',
  message:
    'The migration was terminated: its workflow was ended from outside. The repair took it back; the volume is where it was.',
};

/**
 * Neither of a migration's two devices holds the volume, so that there is no way to go. `parked`: one of them did not answer. `left`: both
 * have, and the volume is elsewhere, or nowhere.
 */
interface NoWay {
  direction: 'parked' | 'left';
  why: string;
}

/** What came of it; null: there was nothing to repair any more. */
export type Repaired = { direction: 'forward' | 'back'; handedOver: string[] } | NoWay | null;

/**
 * Ends a migration whose workflow is gone. Every write carries the claim: if it is not this claim's volume any more, nothing is
 * touched. Whatever the dead workflow's last steps still do on the nodes is waited for, or found later by its tags.
 */
export async function repairVolume({ claim, guestOn }: { claim: Claim; guestOn?: GuestSide }): Promise<Repaired> {
  const found = await repair.readAbandonedClaim.executeWithOptions(
    { summary: `is ${claim.volumeId} still held by nobody?` },
    [{ claim }],
  );
  if (!found) return null;
  const decided = await decideForGood(found, guestOn ?? null);
  if (decided === null) return null;
  if (typeof decided !== 'string') {
    if (decided.direction === 'left') await endClaim(claim, decided.why);
    return decided;
  }
  const direction = decided;
  const left = await cleanUpOrHandOver(causeOf(claim), stepsOf(found, direction));
  const outcome = direction === 'forward' ? ('success' as const) : ('error' as const);
  await registry.releaseVolume({ claim, outcome, error: outcome === 'error' ? terminated : null });
  return { direction, handedOver: left.map(describe) };
}

/**
 * The registry is from before the migration's end, and the volume has moved on since, or is gone: as long as it is held nothing can be said or
 * done about it. Nothing is deleted; where the volume is the devices say, and the same look tells it.
 */
async function endClaim(claim: Claim, why: string): Promise<void> {
  await registry.releaseVolume({ claim, outcome: 'error', error: { type: 'Terminated', message: why } });
}

/** Which way it goes, as far as that is known before it is decided. */
export function directionOf({ switched, flow }: Pick<AbandonedClaim, 'switched' | 'flow'>): RepairDirection {
  if (switched) return 'forward';
  // Of an attached volume the registry alone cannot tell where the truth is: the guest may write to the destination already.
  return flow === 'generic-attached' ? 'by-guest' : 'back';
}

/**
 * The record decides, and the switch may be committed by a last step of the dead workflow at this very moment: `undoing` and the switch
 * exclude each other in the registry, and whichever is first there holds. Where a guest decides, the record follows the guest.
 */
async function decideForGood(
  found: AbandonedClaim,
  word: GuestSide | null,
): Promise<'forward' | 'back' | NoWay | null> {
  const { claim } = found;
  try {
    let direction = directionOf(found);
    if (direction === 'by-guest') {
      const guest = await askGuest(found, word);
      if (guest.on === null) return { direction: 'parked', why: guest.why };
      if (guest.on === 'destination') await registry.switchVolume({ claim, attachment: guest.attachment });
      direction = guest.on === 'destination' ? 'forward' : 'back';
    }
    if (direction === 'back' && found.flow !== 'generic-attached') {
      const told = await askDevices(found, word);
      if (typeof told !== 'string') {
        // As before any way back: whatever the dead workflow's last step still does, it switches nothing.
        if (told.direction === 'left') await registry.enterPhase({ claim, phase: 'undoing' });
        return told;
      }
      direction = told;
    }
    if (direction === 'back') await registry.enterPhase({ claim, phase: 'undoing' });
    else await registry.enterPhase({ claim, phase: 'cleaning-up' });
    return direction === 'back' ? 'back' : 'forward';
  } catch (error) {
    if (refusedAs(error, 'PastPointOfNoReturn')) return 'forward';
    if (refusedAs(error, 'Fenced')) return null;
    throw error;
  }
}

/** Exports are named after their migration, or, towards a guest, after their device; where there never was one, there is none to end. */
function stepsOf(found: AbandonedClaim, direction: 'forward' | 'back'): CleanUpStep[] {
  const { claim, flow, source, destination, keepsSource, undoes } = found;
  const { migrationId, volumeId } = claim;
  const exportName = `migration-${migrationId}`;
  if (direction === 'forward') {
    const retiring: CleanUpStep = { kind: 'retireSource', ...source, volumeId, migrationId, exportName };
    return [
      { kind: 'settleDestination', ...successorOf(found) },
      ...(keepsSource ? keepingSource([retiring]) : [retiring]),
    ];
  }
  const released: CleanUpStep = {
    kind: 'releaseSource',
    backEnd: source.backEnd,
    deviceName: source.deviceName,
    migrationId,
  };
  // An undo makes nothing: what is at its destination is still the kept source.
  if (undoes) return [released];
  const { backEnd, deviceName } = destination;
  const isMirrored = flow === 'generic-attached';
  const reading: CleanUpStep = { kind: 'removeExport', backEnd: source.backEnd, exportName };
  return [
    // Of a guest's disk the source was never held; it is read to be compared with its mirror.
    ...(isMirrored
      ? [{ kind: 'removeExport' as const, backEnd, exportName: deviceName, cut: true as const }]
      : [released]),
    // In histories of before, a mirror was not compared.
    ...(!isMirrored || patched('the source of a mirror is read') ? [reading] : []),
    { kind: 'deleteDestination', backEnd, deviceName, migrationId },
  ];
}

/** The device that the volume is on from the switch on. */
function successorOf({ claim, destination, undoes, sizeBytes }: AbandonedClaim): Successor {
  const { volumeId, migrationId, epoch: generation } = claim;
  return { ...destination, volumeId, migrationId, generation, sizeBytes, ...(undoes ? { keptBy: undoes } : {}) };
}

/** A node that answers does so at once. Seconds. */
const lookSeconds = 20;

/**
 * The registry knows of no switch, but it may be one that has forgotten it: a standby that took over without the last commits. The
 * devices tell, and Temporal's history. `back`: the source says that it holds the volume, no newer device is seen, and the migration did not
 * end well.
 */
async function askDevices(found: AbandonedClaim, word: GuestSide | null): Promise<'forward' | 'back' | NoWay> {
  const { claim, source, destination } = found;
  const look = ({ backEnd, deviceName }: typeof source) =>
    storageSteps(nodeOf(backEnd), lookSeconds)
      .lookAtDevice.executeWithOptions({ summary: `what does ${deviceName} on ${backEnd} say of itself?` }, [
        { backEnd, deviceName },
      ])
      .then(
        (device) => ({ device, why: '' }),
        (error: unknown) => ({ device: undefined, why: `${backEnd}: ${reasonOf(error).message}` }),
      );
  const [there, here] = await Promise.all([look(destination), look(source)]);
  const isNewest = there.device?.volumeId === claim.volumeId && there.device.generation === claim.epoch;
  if (isNewest && there.device?.role === 'live') {
    await registry.switchVolume({ claim, identity: there.device.identity });
    return 'forward';
  }
  const isHere = here.device?.volumeId === claim.volumeId && here.device.role === 'live';
  // An operator who knows that the destination is lost says so.
  if (isHere && (!found.completed || word === 'source')) return 'back';
  // The source was never more than read, and the destination answers that it is not the volume: it goes back as soon as the source is seen.
  if (here.device === undefined) return { direction: 'parked', why: here.why };
  // The third witness: it has moved, and may have been written to since.
  const why = isHere
    ? "By Temporal's history the migration has ended well."
    : `${source.deviceName} on ${source.backEnd} does not say that it holds the volume.`;
  if (there.device === undefined) return { direction: 'parked', why: `${why} ${there.why}` };
  return {
    direction: 'left',
    why: `The registry has forgotten how the migration ended. ${why} Neither does ${destination.deviceName} on ${destination.backEnd}. See: ferry repair --dry-run`,
  };
}

function refusedAs(error: unknown, type: Reason['type']): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === type;
}
