import { describePlace, samePlace, type Place } from './disk-source.ts';
import type { Observations } from './observe-disk.ts';

/** How far a mirror is: bytes done of a total that grows while the guest writes. */
export interface MirrorPosition {
  readonly bytesDone: number;
  readonly totalBytes: number;
  /** Bytes a second, 0 is no cap. */
  readonly speed: number;
  readonly paused: boolean;
}

/** Where a disk's move from `source` to `destination` stands. */
export type Verdict =
  /** The guest writes to the source and no copy runs: never begun, failed or aborted, which nobody can tell apart. */
  | { readonly kind: 'not-started' }
  | { readonly kind: 'copying'; readonly position: MirrorPosition }
  /** Both hold the same and are kept so: it can be pivoted. */
  | { readonly kind: 'ready'; readonly position: MirrorPosition }
  /** A pivot or an abort is being worked off: look again. */
  | { readonly kind: 'ending' }
  /** The guest writes to the destination, and so it will after its next start. */
  | { readonly kind: 'done' }
  /** The guest writes to the destination, but its definition names the source. */
  | { readonly kind: 'done-but-saved-xml-is-old' }
  /** The guest is not running; its definition names the source, or the destination. */
  | { readonly kind: 'off-on-source' }
  | { readonly kind: 'off-on-destination' }
  | { readonly kind: 'no-domain' }
  /** The domain has no disk with the volume's id as its serial. */
  | { readonly kind: 'no-disk' }
  | { readonly kind: 'libvirtd-down'; readonly reason: string }
  /** It cannot be told at the moment: ask again, clean up nothing. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The guest writes to the source, or to an overlay of it, and QEMU does somebody else's work with the disk: a backup, a commit, a copy to elsewhere. */
  | { readonly kind: 'foreign-job'; readonly reason: string }
  /**
   * It cannot be told by machine: both volumes must be kept until an operator has looked. `writesTo`: what the guest does now, where that
   * is known; it does not say that all is there that it was ever told to be written.
   */
  | { readonly kind: 'park'; readonly reason: string; readonly writesTo?: 'source' };

/** A QEMU that was told to turn its guest to the destination, of which nothing was heard; and whether that one runs the guest still. */
export interface AskedToPivot {
  readonly sameQemu: boolean;
}

/**
 * Decides by where the disk is, QEMU before libvirt. That there is no job says nothing by itself: a job that is done, failed or
 * was aborted leaves the same nothing behind. After a pivot that nobody heard the end of, only the QEMU that was asked for it tells
 * that it never was: one that was started since, from a definition that names the source, knows nothing of what the first one wrote.
 */
export function verdict(
  seen: Observations,
  source: Place,
  destination: Place,
  asked: AskedToPivot | null = null,
): Verdict {
  const stands = placed(seen, source, destination);
  if (!asked || asked.sameQemu || !onSource.has(stands.kind)) return stands;
  const runs = seen.live && samePlace(seen.qemu?.place ?? null, source);
  const now = runs ? 'Another QEMU runs the guest on the source now.' : 'It does not run the guest any more.';
  return {
    ...park(
      `QEMU was told to turn the guest to the destination, and was not heard again. ${now} ` +
        'What it wrote last may be on the destination only.',
    ),
    ...(runs ? { writesTo: 'source' as const } : {}),
  };
}

/** From these, a migration would go back to the source, or begin to copy anew over the destination. */
const onSource: ReadonlySet<Verdict['kind']> = new Set([
  'not-started',
  'copying',
  'ready',
  'ending',
  'foreign-job',
  'off-on-source',
  'no-disk',
  'no-domain',
]);

function placed(seen: Observations, source: Place, destination: Place): Verdict {
  const { domain, live, saved, qemu, trouble } = seen;
  if (seen.libvirt === 'down') return { kind: 'libvirtd-down', reason: trouble ?? 'libvirtd does not answer' };
  if (seen.libvirt === 'hangs') return { kind: 'unknown', reason: trouble ?? 'libvirt does not answer in time' };
  if (seen.strayQemu !== null) {
    return park(
      `QEMU (process ${seen.strayQemu}) runs the guest, but libvirt ${domain ? 'says that it is shut off' : 'does not know it'}.`,
    );
  }
  if (!domain) return { kind: 'no-domain' };
  if (!domain.active) {
    if (!saved) return { kind: 'no-disk' };
    if (samePlace(saved.place, destination)) return { kind: 'off-on-destination' };
    if (samePlace(saved.place, source)) return { kind: 'off-on-source' };
    return park(
      `The guest is off, and its definition names ${describePlace(saved.place)}: neither source nor destination.`,
    );
  }
  if (!live) return { kind: 'no-disk' };
  if (!qemu) return { kind: 'unknown', reason: trouble ?? 'QEMU does not answer' };
  const { mirror } = live;
  if (!mirror && !samePlace(qemu.place, live.place)) {
    return park(`QEMU has the disk on ${describePlace(qemu.place)}, libvirt says ${describePlace(live.place)}.`);
  }
  const { job, others = [] } = qemu;
  const isOnSource = samePlace(qemu.place, source);
  // A backup tool's, made since the disk was looked at: it is somebody else's work, and what is below stays as it is.
  const isOverSource = live.backing.some((below) => samePlace(below, source));
  if (mirror && !samePlace(mirror.place, destination)) {
    const foreign = `a copy to ${describePlace(mirror.place)} (${mirror.job}) runs, which is not the destination`;
    return isOnSource || isOverSource
      ? { kind: 'foreign-job', reason: foreign }
      : park(`The disk is turned, and ${foreign}.`);
  }
  if (!mirror && others.length > 0 && isOnSource)
    return { kind: 'foreign-job', reason: `QEMU works on ${others.join(', ')}` };
  if (job && !mirror) return park(`QEMU runs the block job ${job.id}, which libvirt does not know.`);
  if (mirror && job && mirror.ready !== 'abort' && mirror.ready !== 'pivot' && !ended.has(job.status)) {
    const position = { bytesDone: job.offset, totalBytes: job.length, speed: job.speed, paused: job.paused };
    // libvirt pivots only when it, too, has heard that the job is ready.
    return { kind: job.ready && mirror.ready === 'yes' ? 'ready' : 'copying', position };
  }
  if (mirror) return { kind: 'ending' };
  if (samePlace(qemu.place, destination)) {
    return { kind: samePlace(saved?.place ?? null, destination) ? 'done' : 'done-but-saved-xml-is-old' };
  }
  if (isOnSource) return { kind: 'not-started' };
  if (isOverSource)
    return {
      kind: 'foreign-job',
      reason: `the guest writes to an overlay of it, ${describePlace(live.place)}, which is to be brought down (virsh blockcommit --active --pivot)`,
    };
  return park(`The disk is on ${describePlace(qemu.place)}: neither source nor destination.`);
}

/** States of a QEMU job that has nothing more to copy. */
const ended: ReadonlySet<string> = new Set(['waiting', 'pending', 'aborting', 'concluded', 'null']);

function park(reason: string): Extract<Verdict, { kind: 'park' }> {
  return { kind: 'park', reason };
}
