import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import { type DiskSource, type NamedDevice, placeOf } from './disk-source.ts';
import type { DiskOfInstance } from './find-domain.ts';
import { type Observations, type ObservationTools, observeDisk } from './observe-disk.ts';
import { identifyQemu, sameQemu } from './qemu-process.ts';
import { type AskedToPivot, type Verdict, verdict } from './verdict.ts';

/** What a look at a disk's move needs to know: the places may be names alone. */
export interface DiskMoveByName extends DiskOfInstance {
  readonly source: DiskSource;
  readonly destination: DiskSource | NamedDevice;
  /** The QEMU that was asked to turn the guest, as `beginPivot` told it; null or absent when none was. */
  readonly asked?: QemuIdentity | 'unknown' | null | undefined;
}

/** A disk's move from one place to another: what the mirror's activities name. */
export interface DiskMove extends DiskMoveByName {
  readonly destination: DiskSource;
  /** An operator has found that what the guest wrote is on the destination: a guest that is off is to start there. */
  readonly isDecided?: boolean | undefined;
}

/** The answers are asked for one after the other; what contradicts itself once may only have changed in between. Milliseconds. */
const lookAgainAfterMs = 400;
const looksBeforeParking = 4;

/** Where the move stands, and what that was read from. Changes nothing. */
export async function probeDisk(
  tools: ObservationTools,
  move: DiskMoveByName,
): Promise<{ stands: Verdict; seen: Observations }> {
  for (let look = 1; ; look += 1) {
    const seen = await observeDisk(tools, move);
    const asked = await askedToPivot(tools, move, seen);
    const stands = verdict(seen, placeOf(move.source), placeOf(move.destination), asked);
    if (stands.kind !== 'park' || look === looksBeforeParking) return { stands, seen };
    await sleep(lookAgainAfterMs);
  }
}

async function askedToPivot(
  { findQemuProcess }: ObservationTools,
  { asked = null }: DiskMoveByName,
  { domain }: Observations,
): Promise<AskedToPivot | null> {
  if (asked === null) return null;
  if (asked === 'unknown' || !domain?.active) return { sameQemu: false };
  const pid = await findQemuProcess(domain);
  return { sameQemu: sameQemu(asked, pid === null ? null : await identifyQemu(pid)) };
}

/** The error of a verdict from which no step of a migration can go on by itself. */
export function hopelessVerdict(stands: Verdict, at: DiskOfInstance): FerryError {
  const details = { instance: at.instance, volumeId: at.volumeId, verdict: stands.kind };
  switch (stands.kind) {
    case 'park':
      return new FerryError(
        'ParkedForOperator',
        `Where instance ${at.instance} writes volume ${at.volumeId} cannot be told: ${stands.reason} Both volumes are kept; an operator must look.`,
        details,
      );
    case 'libvirtd-down':
      return new FerryError(
        'ServiceUnreachable',
        `libvirt does not answer: ${stands.reason}. Is libvirtd running?`,
        details,
      );
    case 'unknown':
      return new FerryError(
        'ServiceUnreachable',
        `Instance ${at.instance} does not say what its disks are on: ${stands.reason}`,
        details,
      );
    case 'foreign-job':
      return new FerryError(
        'InstanceNotReady',
        `Somebody else works on volume ${at.volumeId} of instance ${at.instance}: ${stands.reason}. It is not ended by Ferry; try again when it is over.`,
        { ...details, because: 'foreign-job' },
      );
    case 'no-domain':
      return new FerryError('InstanceNotFound', `This hypervisor has no instance ${at.instance}.`, details);
    case 'no-disk':
      return new FerryError(
        'AttachmentNotFound',
        `Instance ${at.instance} has no disk with the serial ${at.volumeId}.`,
        details,
      );
    case 'off-on-source':
    case 'off-on-destination':
      return new FerryError(
        'InstanceNotReady',
        `Instance ${at.instance} is not running. Start it, or detach the volume and move it detached.`,
        details,
      );
    case 'not-started':
      return new FerryError(
        'MirrorFailed',
        `The mirror of ${at.volumeId} ended without reaching its destination; ${at.instance} goes on with the source. ` +
          'The hypervisor gives no reason: most often the destination was lost, full, or not of the very same size.',
        details,
      );
    case 'copying':
    case 'ready':
    case 'ending':
    case 'done':
    case 'done-but-saved-xml-is-old':
      return new FerryError('NoProgress', `The mirror of ${at.volumeId} stays "${stands.kind}".`, details);
  }
}
