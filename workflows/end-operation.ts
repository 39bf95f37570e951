import { patched } from '@temporalio/workflow';
import type { AbandonedOperation as HeldByNobody } from '../activities/repair/create-repair-activities.ts';
import { attachmentExportName, deviceName, snapshotDeviceName } from '../model/names.ts';
import type { AbandonedOperation } from '../model/repair.ts';
import { computeSteps, registry, repair } from './activities.ts';
import { runCleanUp } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';
import { lookAtDevice } from './look-at-device.ts';
import { assertNobodyLeft } from './operations/assert-nobody-left.ts';
import { disownVolume } from './operations/disown-volume.ts';
import { releaseSeconds } from './operations/run-operation.ts';

/** What cannot be asked or done now is tried again at the next look: the volume is held so long. Seconds. */
const patienceSeconds = 30;

/**
 * Ends an operation that nobody carries on. One that has ended well, and whose last commit the registry has lost, ends as it did: by
 * Temporal's history, and by whoever has the volume where its word would free or forget something; or by the device, where that says so.
 * Any other has failed: what it left is taken back first. Who does not answer is asked again at the next look.
 */
export async function endOperation(held: HeldByNobody, dryRun: boolean): Promise<AbandonedOperation> {
  const { volumeId, operation, owner, since } = held;
  const told = { volumeId, operation, owner, since };
  if (dryRun) return { ...told, state: 'none', note: null };
  const repaired = (note: string | null): AbandonedOperation => ({ ...told, state: 'repaired', note });
  const failed = (note: string): AbandonedOperation => ({ ...told, state: 'failed', note });
  try {
    if (held.endedWell && (await isBorneOut(held))) {
      await repair.endAsBefore.executeWithOptions({ summary: `the ${operation} of ${volumeId} has ended well` }, [
        { held },
      ]);
      return repaired("by Temporal's history it has ended well: the registry had forgotten that");
    }
    if (operation === 'manage' && (await cameToBe(held))) return repaired('its device holds it: it is a volume');
    if (operation === 'manage-snapshot' && (await snapshotCameToBe(held)))
      return repaired('its device is there: it is a snapshot');
    if (operation === 'create' && held.isUnknown && (await wasMade(held)))
      return repaired('its device is whole: it is a volume');
    if (operation === 'attach') {
      if (held.isUnknown && held.hasComputeWorker && (await guestHasIt(held))) return failed(mayHaveEnded(held));
      const left = await takeBack(held);
      if (left !== null) return failed(left);
    }
    const message = `The ${operation} was terminated: its workflow was ended from outside.`;
    const reason = { type: 'Terminated', message } as const;
    const isWhole = operation === 'revert' && (await stayedWhole(held));
    await repair.failAbandonedOperation({ held, reason, ...(isWhole ? { untouched: true } : {}) });
    if (operation === 'manage') await disownVolume({ volumeId, backEnd: held.host, name: null });
    return repaired(isWhole ? 'its device is whole: it holds what it held before, or what the snapshot holds' : null);
  } catch (error) {
    return failed(reasonOf(error).message);
  }
}

/**
 * Whether nothing speaks against what the history says. Asked where the end frees a volume or forgets something, and where all of that may
 * have been undone since; of all else the devices tell at every look.
 */
async function isBorneOut(held: HeldByNobody): Promise<boolean> {
  switch (held.operation) {
    case 'attach':
      return !held.hasComputeWorker || (await guestHasIt(held));
    case 'detach':
      return !(held.hasComputeWorker && (await guestHasIt(held))) && isUnused(held);
    case 'delete':
    case 'unmanage':
      return (await deviceOf(held))?.volumeId !== held.volumeId;
    case 'delete-snapshot':
      return held.snapshotId != null && !(await isThere(held.host, snapshotDeviceName(held.snapshotId)));
    default:
      return true;
  }
}

async function guestHasIt({ volumeId, computeHost, instanceId }: HeldByNobody): Promise<boolean> {
  if (computeHost === null) return false;
  const holders = await computeSteps(computeHost, patienceSeconds).examineHolders.executeWithOptions(
    { summary: `who has volume ${volumeId} on ${computeHost}?` },
    [{ volumeId, source: null }],
  );
  return holders.some(({ details }) => details?.['instance'] === instanceId || details?.['domain'] === instanceId);
}

/** What no history tells must not cost a guest its disk: it may have had it for long. */
function mayHaveEnded({ instanceId, volumeId }: HeldByNobody): string {
  return `Temporal has no history of it, and instance ${instanceId} has the disk: it may be in use. It keeps it, and nobody else gets the volume; when it was taken out there (virsh detach-disk), volume ${volumeId} is available again`;
}

async function isUnused(held: HeldByNobody): Promise<boolean> {
  const { host, volumeId, nameId, attachmentId } = held;
  if (attachmentId === null) return false;
  try {
    const volume = { host, id: volumeId, nameId: nameId ?? null };
    await assertNobodyLeft(volume, attachmentExportName(attachmentId), { mustAnswer: true });
    return true;
  } catch (error) {
    if (reasonOf(error).type === 'VolumeInUse') return false;
    throw error;
  }
}

const nameOf = ({ volumeId, nameId }: HeldByNobody) => deviceName({ id: volumeId, nameId: nameId ?? null });

/** What the volume's device says of itself; null: there is none. */
function deviceOf(held: HeldByNobody) {
  return lookAtDevice(held.host, nameOf(held));
}

async function isThere(backEnd: string, name: string): Promise<boolean> {
  return (await lookAtDevice(backEnd, name)) !== null;
}

/**
 * Whether a device was made the volume's before the workflow ended: then it is a volume, and may have been used as one since by all that a
 * registry knows that has lost its last commits.
 */
async function cameToBe(held: HeldByNobody): Promise<boolean> {
  if (held.nameId === undefined || !patched('a device is asked before a volume that was managed is given up'))
    return false;
  const { volumeId, owner } = held;
  const device = await deviceOf(held);
  if (device?.volumeId !== volumeId || device.role !== 'live') return false;
  await registry.finishManage({ volumeId, owner, identity: device.identity });
  return true;
}

/** The same of a volume that is made from nothing: its device is live at once, and is whole when it is zeroed. */
async function wasMade(held: HeldByNobody): Promise<boolean> {
  const { volumeId, owner } = held;
  const device = await deviceOf(held);
  if (device?.volumeId !== volumeId || device.role !== 'live' || device.isUnzeroed !== false) return false;
  await registry.finishCreate({ volumeId, owner, identity: device.identity });
  return true;
}

/** The same of a device that was to be a snapshot: it has that name only when it is. */
async function snapshotCameToBe({ volumeId, owner, host, snapshotId }: HeldByNobody): Promise<boolean> {
  // Not told in histories of before.
  if (snapshotId == null || !(await isThere(host, snapshotDeviceName(snapshotId)))) return false;
  await registry.finishSnapshotManage({ volumeId, owner, snapshotId });
  return true;
}

/** A volume that was to go back to its snapshot is whole when its device says so: before it begins to, and when it is done. */
async function stayedWhole(held: HeldByNobody): Promise<boolean> {
  if (!patched('a device is asked before a volume that was reverted is in error')) return false;
  const device = await deviceOf(held);
  return device?.volumeId === held.volumeId && device.role === 'live';
}

/** Takes back what an attach may have left; null when nothing is, else what could not be. */
async function takeBack(held: HeldByNobody): Promise<string | null> {
  const { host, attachmentId } = held;
  if (attachmentId === null) return null;
  // The guest may have the disk already: it must have lost it before another can get it.
  const why = await whyNotOut(held);
  if (why !== null) return `${why} Tried again`;
  const step = { kind: 'removeExport' as const, backEnd: host, exportName: attachmentExportName(attachmentId) };
  const left = await runCleanUp([step], patienceSeconds);
  return left.length > 0 ? `the attachment's export on ${host} could not be ended; tried again` : null;
}

/** Null: the hypervisor has said that the guest has not got the disk. Else why that cannot be said. */
async function whyNotOut(held: HeldByNobody): Promise<string | null> {
  const { volumeId, instanceId, computeHost, hasComputeWorker } = held;
  if (!hasComputeWorker || computeHost === null || instanceId === null) return null;
  try {
    await computeSteps(computeHost, releaseSeconds).detachDisk({ instance: instanceId, volumeId, takesBack: true });
    return null;
  } catch (error) {
    return `Instance ${instanceId} may have the disk: ${reasonOf(error).message}`;
  }
}
