import { ApplicationFailure, ActivityFailure } from '@temporalio/workflow';
import type { AbandonedClaim } from '../activities/repair/create-repair-activities.ts';
import type { Reason } from '../model/errors.ts';
import type { Claim } from '../model/migration.ts';
import type { GuestSide, RepairDirection } from '../model/repair.ts';
import { registry, repair } from './activities.ts';
import { askGuest } from './ask-guest.ts';
import { causeOf, cleanUpOrHandOver } from './clean-up-or-hand-over.ts';
import { describe, keepingSource, type CleanUpStep } from './clean-up-steps.ts';

/** What the record of a migration says that was ended from outside. */
export const terminated: Reason = {
  type: 'Terminated',
  message:
    'The migration was terminated: its workflow was ended from outside. The repair took it back; the volume is where it was.',
};

/** What came of it; null: there was nothing to repair any more. `why`: it could not be told which way to go. */
export type Repaired =
  | { direction: 'forward' | 'back'; handedOver: string[] }
  | { direction: 'parked'; why: string }
  | null;

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
  if (decided === null || typeof decided !== 'string') return decided;
  const direction = decided;
  const left = await cleanUpOrHandOver(causeOf(claim), stepsOf(found, direction));
  const outcome = direction === 'forward' ? ('success' as const) : ('error' as const);
  await registry.releaseVolume({ claim, outcome, error: outcome === 'error' ? terminated : null });
  return { direction, handedOver: left.map(describe) };
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
): Promise<'forward' | 'back' | { direction: 'parked'; why: string } | null> {
  const { claim } = found;
  try {
    let direction = directionOf(found);
    if (direction === 'by-guest') {
      const guest = await askGuest(found, word);
      if (guest.on === null) return { direction: 'parked', why: guest.why };
      if (guest.on === 'destination') await registry.switchVolume({ claim, attachment: guest.attachment });
      direction = guest.on === 'destination' ? 'forward' : 'back';
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
function stepsOf(
  { claim, flow, source, destination, keepsSource, undoes }: AbandonedClaim,
  direction: 'forward' | 'back',
): CleanUpStep[] {
  const { migrationId, volumeId } = claim;
  const exportName = `migration-${migrationId}`;
  if (direction === 'forward') {
    const steps: CleanUpStep[] = [
      { kind: 'retireSource', ...source, volumeId, exportName },
      { kind: 'settleDestination', ...destination, migrationId, ...(undoes ? { keptBy: undoes } : {}) },
    ];
    return keepsSource ? keepingSource(steps, migrationId) : steps;
  }
  // An undo makes nothing: what is at its destination is still the kept source.
  if (undoes) return [];
  const { backEnd, deviceName } = destination;
  return [
    flow === 'generic-attached'
      ? { kind: 'removeExport', backEnd, exportName: deviceName }
      : { kind: 'removeExport', backEnd: source.backEnd, exportName },
    { kind: 'deleteDestination', ...destination, migrationId },
  ];
}

function refusedAs(error: unknown, type: Reason['type']): boolean {
  return error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === type;
}
