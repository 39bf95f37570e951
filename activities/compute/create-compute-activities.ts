import { Context } from '@temporalio/activity';
import { FerryError, type Reason } from '../../model/errors.ts';
import { metrics } from '../../model/metrics.ts';
import { copyStart, type CopyProgress } from '../../model/migration.ts';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import { beatEveryMs, beating } from '../beating.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { computeInputs } from '../inputs/compute.ts';
import { speedMeter } from '../storage/speed-meter.ts';
import { abortMirror } from './abort-mirror.ts';
import { attachDisk, type AttachInput } from './attach-disk.ts';
import type { CutConnection } from './cut-connection.ts';
import { beginPivot } from './begin-pivot.ts';
import type { DiskSource } from './disk-source.ts';
import { detachDisk, type DetachInput } from './detach-disk.ts';
import { type DiskOfInstance, domainOf, listDomains } from './find-domain.ts';
import { findHolders, inUseBy } from './find-holders.ts';
import { inspectDisk, type InspectInput } from './inspect-disk.ts';
import { mirrorDisk, type MirrorInput } from './mirror-disk.ts';
import { holdMirror, pauseMirror, type Rest, setMirrorBandwidth } from './mirror-speed.ts';
import { located, observeDisk, type ObservationTools } from './observe-disk.ts';
import { pivotDisk, type EndingOptions, type PivotOptions } from './pivot-disk.ts';
import { type DiskMove, type DiskMoveByName, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { type GuestRuns, resumeGuest } from './resume-guest.ts';
import type { MirrorPosition, Verdict } from './verdict.ts';

/** What a hypervisor's activities work with. */
export interface ComputeDependencies extends ObservationTools, EndingOptions {
  readonly cut: CutConnection;
  /** Tells the migration's workflow, seldom, where its mirror is. Must not throw. */
  readonly reportProgress: (progress: { bytesDone: number; bytesPerSecond: number }) => Promise<void>;
  /** A mirror that moves no byte for this long has failed. Milliseconds. */
  readonly noProgressMs: number;
}

/** How a stretch of mirroring ended. Not ready: it was stopped, and the mirror itself goes on without it. */
export interface MirrorReached {
  ready: boolean;
  bytesDone: number;
  totalBytes: number;
}

export type ComputeActivities = ReturnType<typeof createComputeActivities>;

/** First report to the workflow after this long, each next one after half as long again: a day's mirror makes few events. */
const firstReportMs = 5_000;
const reportGrowth = 1.5;

/**
 * The effects beside one libvirtd. A volume's disk is found by its serial, the volume's id. Each may be repeated and may have
 * run half before: it asks QEMU, then libvirt, where things stand, and acts on that. All of them beat.
 *
 * All fail with `ServiceUnreachable` when libvirtd does not answer or a guest's QEMU hangs (may be repeated), and with
 * `ParkedForOperator` when it cannot be told which disk the guest writes to: then nothing may be cleaned up.
 */
export function createComputeActivities(deps: ComputeDependencies) {
  return checkInputs(computeInputs, {
    /**
     * Puts the volume into the instance: into the running guest, and into its definition. There already from the same source:
     * done. From another, or in another instance, or the instance's memory is saved: `InstanceNotReady`. No such instance:
     * `InstanceNotFound`. `domain` is the instance's UUID, by which it is found again whatever it is called.
     */
    attachDisk: beating((input: AttachInput): Promise<{ device: string; domain: string }> => attachDisk(deps, input)),

    /**
     * Takes the volume out of the instance and its definition; returns when the guest has let go of it. Not there, or no such
     * instance: done. The guest holds on to it, or is paused: `DeviceInUse`. Being mirrored or worked on by somebody else, elsewhere than
     * the registry says, over an overlay, in a saved memory, in another instance too: `InstanceNotReady` (`details.because`). Refused or
     * failed, it leaves the guest and its definition as they were; but a guest that was asked may let go later all the same.
     */
    detachDisk: beating((input: DetachInput): Promise<void> => detachDisk(deps, input)),

    /**
     * Refuses what cannot be mirrored, before anything is made: `InstanceNotFound`, `AttachmentNotFound`, `InstanceNotReady`
     * (not running, transient, read-only, more than one writer, encrypted, libvirt or QEMU too old, elsewhere than the registry
     * says; `details.because`), `SizeMismatch`; several at once as `MigrationRefused`.
     */
    inspectDisk: beating((input: InspectInput): Promise<{ device: string; sizeBytes: number }> =>
      inspectDisk(deps, input),
    ),

    /** The same, as an answer: every reason why the disk cannot be mirrored, before a migration is begun. Changes nothing. */
    examineDisk: beating(async (input: InspectInput): Promise<Reason[]> => {
      try {
        await inspectDisk(deps, input);
        return [];
      } catch (error) {
        // A hypervisor that does not answer tells nothing.
        if (!(error instanceof FerryError) || error.retryable) throw error;
        const { type, message, details } = error;
        return type === 'MigrationRefused' ? (details['reasons'] as Reason[]) : [{ type, message, details }];
      }
    }),

    /** Every instance that has the volume, running or not; `VolumeInUse` each. Changes nothing. */
    examineHolders: beating(async (input: { volumeId: string; source: DiskSource | null }): Promise<Reason[]> =>
      (await findHolders(deps.virsh, input)).map((holder) => inUseBy(holder, input.volumeId)),
    ),

    /**
     * Mirrors the disk onto the destination until both hold the same: starts the mirror, or takes over the one that runs, with
     * this cap. Beats with `CopyProgress`. Cancelled: returns with `ready: false` and leaves the mirror running, so that a new
     * cap or worker just goes on; `abortMirror` ends it. Ended by itself: `MirrorFailed`, the guest goes on with the source.
     * Guest off: `InstanceNotReady`. Nothing moves: `NoProgress`, and the mirror is still there.
     */
    mirrorDisk: (input: MirrorInput): Promise<MirrorReached> => mirrorWithBeats(deps, input),

    /**
     * Changes the cap of a mirror that runs, at once. Bytes a second, null is none. No mirror: nothing happens. A `mirrorDisk` that
     * is tried again afterwards sets the cap that it was given. A cap below what the guest changes is never caught up with: QEMU
     * copies 64 KiB for every write, however small.
     */
    setMirrorBandwidth: beating(async (input: DiskOfInstance & { bandwidth: number | null }): Promise<void> => {
      const seen = await observeDisk(deps, input);
      if (seen.live?.mirror)
        await setMirrorBandwidth(deps.virsh, located(input, seen), seen.live.device, input.bandwidth);
    }),

    /** Lets a mirror rest until `mirrorDisk` is called again; what the guest writes meanwhile is noted. No mirror: nothing happens. */
    pauseMirror: beating(async (input: DiskOfInstance): Promise<void> => {
      const seen = await observeDisk(deps, input);
      if (seen.live?.mirror) await pauseMirror(deps.virsh, located(input, seen), seen.live.device);
    }),

    /**
     * Lets a mirror rest, as `pauseMirror`, and returns when it has nothing on its way to the destination. Asked again later it answers the same
     * if nothing was written there in between, and something else otherwise. Null: no mirror, or it does not come to rest; it may be paused.
     */
    holdMirror: beating(async (input: DiskOfInstance): Promise<Rest | null> => {
      const seen = await observeDisk(deps, input);
      return seen.live?.mirror ? holdMirror(deps.virsh, located(input, seen), seen.live.device) : null;
    }),

    /**
     * Which QEMU is going to be asked to pivot, for the workflow to note before it is: what another one says later proves nothing. Changes
     * nothing. Guest off: `InstanceNotReady`.
     */
    beginPivot: beating((input: DiskMove): Promise<QemuIdentity> => beginPivot(deps, input)),

    /**
     * Turns the guest to the destination, and makes sure that its definition says so too. The point of no return lies within:
     * after any failure but `MirrorFailed`, `InstanceNotReady` and `PastPointOfNoReturn`, ask again before undoing anything.
     * Done already, or guest off on the destination: done. The mirror is lost: `MirrorFailed`. `NoProgress`: the destination
     * hangs; end its export, then call again. The QEMU that was `asked` is gone, and the guest is not on the destination:
     * `ParkedForOperator`.
     */
    pivotDisk: (input: DiskMove): Promise<{ device: string | null }> => pivotWithBeats(deps, input),

    /**
     * Ends the mirror; the guest goes on with the source, and nothing of this hypervisor writes to the destination any more. No
     * mirror, guest off or gone: done, unless a QEMU was `asked` to pivot and another one answers now, or none: `ParkedForOperator`. Turned to the destination already: `PastPointOfNoReturn`, and its definition says so too. `NoProgress`: it hangs; end the
     * destination's export, then call again.
     */
    abortMirror: beating((input: DiskMoveByName): Promise<void> => abortMirror(deps, input, deps)),

    /** Where the move stands; changes nothing and never throws but for bugs. */
    probeDisk: beating(async (input: DiskMoveByName): Promise<Verdict> => (await probeDisk(deps, input)).stands),

    /**
     * Resumes the guest if it stopped because its storage went away; call it when the export is back. Still
     * `paused-by-io-error`: the storage is still away, call again. A guest that somebody paused stays so.
     */
    resumeAfterIoError: beating(async (input: { instance: string; domain?: string | null }): Promise<GuestRuns> => {
      const domain = domainOf(await listDomains(deps.virsh), { ...input, volumeId: '' });
      if (!domain) throw hopelessVerdict({ kind: 'no-domain' }, { ...input, volumeId: '' });
      return resumeGuest(deps.virsh, domain.uuid);
    }),
  });
}

async function mirrorWithBeats(deps: ComputeDependencies, input: MirrorInput): Promise<MirrorReached> {
  const context = Context.current();
  const started = Date.now();
  let latest: MirrorPosition | null = null;
  let outpaced = false;
  const bytesDone = context.metricMeter.createCounter(metrics.bytesDone, undefined, 'Bytes that transfers went over');
  /** What was mirrored before this worker watched was counted by another, or not at all. */
  let counted: number | null = null;
  const count = ({ bytesDone: now }: MirrorPosition) => {
    // A mirror that is begun anew begins at its start.
    bytesDone.add(Math.max(0, now - (counted ?? now)));
    counted = now;
  };
  let meter = speedMeter(0, started);
  let reportEvery = firstReportMs;
  let reportAt = started + reportEvery;
  const timer = setInterval(() => {
    if (!latest) return context.heartbeat();
    const now = Date.now();
    meter.sample(latest.bytesDone, now);
    const progress: CopyProgress = {
      checkpoint: { ...copyStart, offset: latest.bytesDone, transferred: latest.bytesDone },
      position: latest.bytesDone,
      totalBytes: latest.totalBytes,
      bytesPerSecond: meter.bytesPerSecond(),
      outpaced,
    };
    context.heartbeat(progress);
    if (now < reportAt) return;
    reportEvery *= reportGrowth;
    reportAt = now + reportEvery;
    void deps.reportProgress({ bytesDone: progress.position, bytesPerSecond: progress.bytesPerSecond });
  }, beatEveryMs);
  try {
    const { ready, position } = await mirrorDisk(deps, input, {
      signal: context.cancellationSignal,
      noProgressMs: deps.noProgressMs,
      onPosition: (position, isOutpaced) => {
        outpaced = isOutpaced;
        // A mirror that was taken over is not as fast as all that it had done before.
        if (!latest) meter = speedMeter(position.bytesDone, Date.now());
        latest = position;
        count(position);
      },
    });
    return { ready, bytesDone: position?.bytesDone ?? 0, totalBytes: position?.totalBytes ?? 0 };
  } finally {
    clearInterval(timer);
  }
}

async function pivotWithBeats(deps: ComputeDependencies, input: DiskMove): Promise<{ device: string | null }> {
  const context = Context.current();
  let begun = begunBefore(context.info.heartbeatDetails);
  const beat = () => context.heartbeat(begun === null ? { begun: false } : { begun: true, qemu: begun });
  const timer = setInterval(beat, beatEveryMs);
  try {
    return await pivotDisk(deps, input, {
      ...deps,
      begun,
      onBegun: (now) => {
        begun = now;
        beat();
      },
    });
  } finally {
    clearInterval(timer);
  }
}

/** What the last beat of an earlier try told: whom it had asked to pivot. Those of before did not say. */
function begunBefore(beat: unknown): PivotOptions['begun'] {
  const { begun, qemu } = (beat ?? {}) as { begun?: unknown; qemu?: PivotOptions['begun'] };
  return begun === true ? (qemu ?? 'unknown') : null;
}
