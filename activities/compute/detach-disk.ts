import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { assertDomain } from './attach-disk.ts';
import { describePlace, type DiskSource, placeOf, samePlace } from './disk-source.ts';
import { findHold, heldBy } from './domain-job.ts';
import type { DomainDisk } from './domain-xml.ts';
import type { DiskOfInstance, LocatedDisk } from './find-domain.ts';
import { findHolders, refuseOtherHolders, refuseSavedMemory } from './find-holders.ts';
import { endLateAttach } from './late-attach.ts';
import { askMonitor, located, observeDisk, type Observations, type ObservationTools } from './observe-disk.ts';
import { guestRuns } from './resume-guest.ts';
import { refusalIn } from './virsh.ts';

export interface DetachInput extends DiskOfInstance {
  /** Where the guest has the volume, as the registry says: from elsewhere it is not taken. Not known: it is not looked at. */
  readonly source?: DiskSource | null | undefined;
  /** The instance is known to be called otherwise by now. */
  readonly evenIfRenamed?: boolean | undefined;
  /** An attach that failed is taken back: another instance's disk is no obstacle. */
  readonly takesBack?: boolean | undefined;
}

/** How long a guest may take to let go of a disk. A guest that has just begun to boot hears the request only later. */
const releaseMs = 60_000;
const askAgainEveryMs = 5_000;
const lookEveryMs = 300;
/** libvirt lets a call wait for 30 s until a job that holds the domain is over; then the call has failed. */
const queuedMs = 32_000;

/**
 * Takes the disk out of the running guest, waits until the guest has let go of it, and only then takes it out of the definition: what
 * fails before leaves both as they were.
 */
export async function detachDisk(tools: ObservationTools, at: DetachInput, mayBeQueuedMs = queuedMs): Promise<void> {
  await endLateAttach(at.volumeId);
  if ((await waitOutHold(tools, at, mayBeQueuedMs)) === 'never-came') return;
  const deadline = Date.now() + releaseMs;
  let askedAt = 0;
  for (let isFirst = true; ; isFirst = false) {
    const seen = await observeDisk(tools, at);
    if (seen.libvirt === 'answers' && !seen.domain && seen.strayQemu === null) {
      await refuseHeld(tools, at, null);
      return;
    }
    assertDomain(seen, at);
    if (isFirst) {
      refuseRenamed(seen, at);
      await refuseHeld(tools, at, seen.domain!.uuid);
      await settle(tools, seen);
      continue;
    }
    const disk = seen.live ?? seen.saved;
    if (!disk) return;
    refuseUnfit(seen, disk, at);
    if (!seen.live) {
      await removeSaved(tools, located(at, seen), disk.device);
      continue;
    }
    if (askedAt === 0) await refuseStill(tools, located(at, seen), disk.device);
    if (Date.now() - askedAt >= askAgainEveryMs) {
      askedAt = Date.now();
      await requestRelease(tools, located(at, seen), seen.live.device);
    }
    if (Date.now() > deadline) {
      throw new FerryError(
        'DeviceInUse',
        `Instance ${at.instance} does not let go of ${seen.live.device}. Is its system up, and the disk unmounted? ` +
          'It keeps the disk; when it lets go of it later, it is given back.',
      );
    }
    await sleep(lookEveryMs);
  }
}

/**
 * While the guest is migrated, or its memory saved, nothing is taken out of it. To take back an attach that was refused for that there is
 * nothing, and nothing will come: what may still be queued in libvirt is waited for.
 */
async function waitOutHold(
  { virsh }: ObservationTools,
  at: DetachInput,
  mayBeQueuedMs: number,
): Promise<'free' | 'never-came'> {
  if (!(await findHold(virsh, at))) return 'free';
  if (at.takesBack) await sleep(mayBeQueuedMs);
  const hold = await findHold(virsh, at);
  if (!hold) return 'free';
  const holders = at.takesBack ? await findHolders(virsh, { volumeId: at.volumeId, source: at.source ?? null }) : null;
  if (holders?.every(({ domain }) => domain.uuid !== hold.domain)) return 'never-came';
  throw heldBy(hold, at);
}

/** What the operator names may not be what the operator means. */
function refuseRenamed({ domain }: Observations, at: DetachInput): void {
  if (at.evenIfRenamed || at.takesBack || domain?.uuid !== at.domain) return;
  if (domain?.name === at.instance || domain?.uuid === at.instance.toLowerCase()) return;
  throw new FerryError(
    'InstanceNotReady',
    `Instance ${at.instance} is called ${domain?.name} now (${domain?.uuid}), and has volume ${at.volumeId}. If that one is to let go of ` +
      `it, name the attachment by its id: ferry detach ${at.volumeId} ATTACHMENT.`,
    { instance: at.instance, because: 'renamed', name: domain?.name },
  );
}

/** Asks all domains, for the disk may be where nobody expects it. */
async function refuseHeld({ virsh }: ObservationTools, at: DetachInput, own: string | null): Promise<void> {
  const holders = await findHolders(virsh, { volumeId: at.volumeId, source: at.source ?? null });
  if (!at.takesBack) refuseOtherHolders(holders, own, at);
  refuseSavedMemory(
    holders.filter(({ domain }) => domain.uuid === own),
    at,
  );
}

/** Waits until what libvirt does with the running guest now is over: an attach that it works off is seen only then. */
async function settle({ virsh }: ObservationTools, { domain }: Observations): Promise<void> {
  if (!domain?.active) return;
  try {
    await askMonitor(virsh, domain.uuid, 'query-name');
  } catch (error) {
    if (refusalIn(error) === 'not-running') return;
    throw new FerryError(
      'ServiceUnreachable',
      `Instance ${domain.name} does not say what it is at: ${(error as Error).message}`,
      {},
      { cause: error },
    );
  }
}

/** What the volume would not have of what the guest was told to be written, or what somebody else works on. */
function refuseUnfit(seen: Observations, disk: DomainDisk, at: DetachInput): void {
  const refuse = (because: string, message: string) => {
    throw new FerryError('InstanceNotReady', message, { instance: at.instance, because });
  };
  const name = `Disk ${disk.device} of instance ${at.instance}`;
  if (disk.mirror) {
    const { job, place } = disk.mirror;
    refuse(
      'foreign-job',
      `${name}, volume ${at.volumeId}, is being mirrored to ${describePlace(place)} (${job}). Cancel the migration first, or wait for the job.`,
    );
  }
  const [other] = seen.qemu?.others ?? [];
  if (other)
    refuse('foreign-job', `Somebody else works on ${name}, volume ${at.volumeId}: ${other}. Wait until it is over.`);
  if (isOverlay(disk)) {
    refuse(
      'overlay',
      `${name} is an overlay (${describePlace(disk.place)}) over volume ${at.volumeId}: what the guest has written since is not on the ` +
        `volume. First bring it down: virsh blockcommit ${seen.domain!.uuid} ${disk.device} --active --pivot.`,
    );
  }
  const place = at.source ? placeOf(at.source) : null;
  if (!place || samePlace(disk.place, place)) return;
  refuse(
    'elsewhere',
    `${name} is on ${describePlace(disk.place)}, and volume ${at.volumeId} is ${describePlace(place)}: what was written to the one is not ` +
      'on the other. Turn the instance off and see which of the two it needs.',
  );
}

/** As external snapshots leave one: Ferry itself attaches nothing but raw devices. */
function isOverlay({ format, backing }: DomainDisk): boolean {
  return format !== 'raw' || backing.length > 0;
}

/** A guest that stands still cannot let go, and would do so unexpectedly when it goes on: it is not even asked. */
async function refuseStill({ virsh }: ObservationTools, disk: LocatedDisk, device: string): Promise<void> {
  const runs = await guestRuns(virsh, disk.domain);
  if (runs === 'running' || runs === 'off') return;
  throw new FerryError(
    'DeviceInUse',
    `Instance ${disk.instance} is paused${runs === 'paused-by-io-error' ? ', because its storage is away' : ''}: it cannot let go of ` +
      `${device}, and keeps it. Let it go on: virsh resume ${disk.domain}. Then try again.`,
    { instance: disk.instance, because: runs },
  );
}

async function requestRelease({ virsh }: ObservationTools, disk: LocatedDisk, device: string): Promise<void> {
  try {
    await virsh('detach-disk', '--domain', disk.domain, '--target', device, '--live');
  } catch (error) {
    // The request is with the guest already, or the guest has just ended: the next look tells.
    const refusal = refusalIn(error);
    if (refusal !== 'already-so' && refusal !== 'not-running') throw error;
  }
}

async function removeSaved({ virsh }: ObservationTools, disk: LocatedDisk, device: string): Promise<void> {
  await virsh('detach-disk', '--domain', disk.domain, '--target', device, '--config');
}
