import type { AbandonedAttachment, AbandonedClaim } from '../activities/repair/create-repair-activities.ts';
import type { DiskMove } from '../activities/compute/probe-disk.ts';
import { connection as connectionSchema, type Connection } from '../model/connection.ts';
import { nodeOf } from '../model/ids.ts';
import type { GuestSide } from '../model/repair.ts';
import { computeSteps, storageSteps } from './activities.ts';
import { diskSource } from './disk-source.ts';
import { reasonOf } from './failures.ts';

/** A node that answers does so at once; the next look comes in a minute. An abort may wait for a destination that hangs. Seconds. */
const lookSeconds = 20;
const abortSeconds = 150;

/** Which side the guest of an attached volume writes to; its mirror has ended. Null: that could not be told now. */
export type GuestFound =
  | { on: 'source' }
  | { on: 'destination'; attachment: { id: string; connection: Connection } }
  | { on: null; why: string };

/**
 * Asks the guest's hypervisor, of a migration that nobody carries on. The mirror is ended: what was not turned yet stays on the source.
 * An operator's word counts where the hypervisor cannot tell.
 */
export async function askGuest(found: AbandonedClaim, word: GuestSide | null): Promise<GuestFound> {
  const { attachment } = found;
  if (attachment === undefined) return { on: null, why: 'A control worker of an older release answered.' };
  const from = connectionSchema.safeParse(attachment?.connection).data;
  // Such a volume is refused before anything is made.
  if (!attachment || !from) return { on: 'source' };
  let connection: Connection;
  try {
    connection = await reachDestination(found, attachment);
  } catch (error) {
    const reason = reasonOf(error);
    // It was never made: no guest can be on it.
    if (reason.type === 'DeviceMissing' || word === 'source') return { on: 'source' };
    return { on: null, why: `${found.destination.backEnd}: ${reason.message}` };
  }
  const turned: GuestFound = { on: 'destination', attachment: { id: attachment.id, connection } };
  const move = {
    instance: attachment.instanceId,
    volumeId: found.claim.volumeId,
    source: diskSource(from),
    destination: diskSource(connection),
  };
  const stands = await endMirror(attachment.computeHost, move, found.phase === 'switching');
  if (stands === 'source') return { on: 'source' };
  if (stands === 'destination' || word === 'destination') return turned;
  return word === 'source' ? { on: 'source' } : { on: null, why: stands.why };
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

async function endMirror(
  computeHost: string,
  move: DiskMove,
  mayHaveTurned: boolean,
): Promise<GuestSide | { why: string }> {
  try {
    const { kind } = await computeSteps(computeHost, lookSeconds).probeDisk.executeWithOptions(
      { summary: `where does instance ${move.instance} write to?` },
      [move],
    );
    // A guest that ended while it was being turned may have written to the destination before.
    if (mayHaveTurned && (kind === 'off-on-source' || kind === 'no-domain' || kind === 'no-disk'))
      return {
        why: `Instance ${move.instance} is off or gone, and may have been turned to the destination before it ended.`,
      };
    await computeSteps(computeHost, abortSeconds, lookSeconds).abortMirror.executeWithOptions(
      { summary: `end the mirror of instance ${move.instance}'s disk` },
      [move],
    );
    return 'source';
  } catch (error) {
    const reason = reasonOf(error);
    return reason.type === 'PastPointOfNoReturn' ? 'destination' : { why: reason.message };
  }
}
