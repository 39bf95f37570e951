import type { AbandonedAttachment, AbandonedClaim } from '../activities/repair/create-repair-activities.ts';
import type { DiskMoveByName } from '../activities/compute/probe-disk.ts';
import type { Verdict } from '../activities/compute/verdict.ts';
import { connection as connectionSchema, diskSource, type Connection } from '../model/connection.ts';
import { nodeOf } from '../model/ids.ts';
import type { Phase } from '../model/migration.ts';
import type { GuestSide } from '../model/repair.ts';
import { computeSteps, storageSteps } from './activities.ts';
import { diskOf } from './disk-of.ts';
import { reasonOf } from './failures.ts';
import { sideOf } from './guest-side.ts';

/** A node that answers does so at once; the next look comes in a minute. An abort may wait for a destination that hangs. Seconds. */
const lookSeconds = 20;
const abortSeconds = 150;

/** Which side the guest of an attached volume writes to; its mirror has ended. Null: that could not be told now. */
export type GuestFound =
  | { on: 'source' }
  | { on: 'destination'; attachment: { id: string; connection: Connection } }
  | { on: null; why: string };

/** Until this phase is recorded no mirror is begun: nothing of the guest's can be on the destination. */
const beforeAnyMirror: ReadonlySet<Phase> = new Set(['claiming', 'preparing']);

/**
 * Asks the guest's hypervisor, of a migration that nobody carries on. The mirror is ended: what was not turned yet stays on the source.
 * The hypervisor is asked first, and knows the destination by its name: neither the destination's node nor its device need be there for
 * it, and their absence proves nothing. An operator's word counts where the hypervisor cannot tell.
 */
export async function askGuest(found: AbandonedClaim, word: GuestSide | null): Promise<GuestFound> {
  const { attachment, phase } = found;
  if (attachment === undefined) return { on: null, why: 'A control worker of an older release answered.' };
  const from = connectionSchema.safeParse(attachment?.connection).data;
  // Such a volume is refused before anything is made.
  if (!attachment || !from || beforeAnyMirror.has(phase)) return { on: 'source' };
  const move = {
    ...diskOf({ ...attachment, volumeId: found.claim.volumeId }, from),
    source: diskSource(from),
    destination: { kind: 'named' as const, name: found.destination.deviceName },
    asked: phase === 'switching' ? (found.asked ?? ('unknown' as const)) : null,
  };
  const stands = await endMirror(attachment.computeHost, move);
  if ((stands.on ?? word) === 'source') return { on: 'source' };
  const turned = { ...move, domain: from.domain, isDecided: stands.on === null };
  if (stands.on !== null) return turnedTo(found, attachment, turned);
  if (word === null) return { on: null, why: stands.why };
  // An operator's "destination" of a guest that writes to the source now: it must not be left running there.
  return stands.writesTo === 'source'
    ? { on: null, why: `The guest writes to the source now: turn it off first. ${stands.why}` }
    : turnedTo(found, attachment, turned);
}

/** The way to the destination, and the guest's definition names it. */
async function turnedTo(
  found: AbandonedClaim,
  attachment: AbandonedAttachment,
  { isDecided, domain, ...move }: DiskMoveByName & { isDecided: boolean },
): Promise<GuestFound> {
  try {
    const connection = await reachDestination(found, attachment);
    const turned = { ...move, ...(domain ? { domain } : {}), destination: diskSource(connection), isDecided };
    await computeSteps(attachment.computeHost, lookSeconds)
      .pivotDisk.executeWithOptions({ summary: `make sure that instance ${move.instance} starts on the destination` }, [
        turned,
      ])
      .catch((error: unknown) => {
        // Decided, and the hypervisor is away: its definitions are put right when it is back.
        if (!isDecided || reasonOf(error).type !== 'NodeUnavailable') throw error;
      });
    return {
      on: 'destination',
      attachment: { id: attachment.id, connection: { ...connection, ...(domain ? { domain } : {}) } },
    };
  } catch (error) {
    return {
      on: null,
      why: `The guest is on the destination. ${found.destination.backEnd}: ${reasonOf(error).message}`,
    };
  }
}

/** How the hypervisor reaches the destination; an export of it that is not there is brought back. */
async function reachDestination(
  { claim, destination, sizeBytes }: AbandonedClaim,
  { computeHost }: AbandonedAttachment,
): Promise<Connection> {
  const { backEnd, deviceName } = destination;
  const { volumeId, migrationId } = claim;
  const node = nodeOf(backEnd);
  const steps = storageSteps(node, lookSeconds);
  const served = { backEnd, device: deviceName };
  if (node === computeHost) {
    const place = await steps.locateVolume({ backEnd, deviceName, volumeId, sizeBytes });
    return { protocol: 'local', ...place, ...served };
  }
  const address = await steps.exportDestination({
    ...destination,
    exportName: deviceName,
    sizeBytes,
    volumeId,
    migrationId,
  });
  return { protocol: 'nbd', ...address, ...served };
}

type Ended = { on: GuestSide } | { on: null; why: string; writesTo: GuestSide | null };

/** Ends the mirror where it runs, and tells which side the guest is on. */
async function endMirror(computeHost: string, move: DiskMoveByName): Promise<Ended> {
  let stands: Verdict | null = null;
  try {
    stands = await computeSteps(computeHost, lookSeconds).probeDisk.executeWithOptions(
      { summary: `where does instance ${move.instance} write to?` },
      [move],
    );
    const toldBy = 'reason' in stands ? stands.reason : stands.kind;
    if (stands.kind === 'park' || stands.kind === 'libvirtd-down' || stands.kind === 'unknown')
      return { on: null, why: `Instance ${move.instance}: ${toldBy}`, writesTo: sideOf(stands) };
    if (sideOf(stands) === 'destination' || stands.kind === 'off-on-destination') return { on: 'destination' };
    await computeSteps(computeHost, abortSeconds, lookSeconds).abortMirror.executeWithOptions(
      { summary: `end the mirror of instance ${move.instance}'s disk` },
      [move],
    );
    return { on: 'source' };
  } catch (error) {
    const reason = reasonOf(error);
    if (reason.type === 'PastPointOfNoReturn') return { on: 'destination' };
    return { on: null, why: reason.message, writesTo: stands && sideOf(stands) };
  }
}
