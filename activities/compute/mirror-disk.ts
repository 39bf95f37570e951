import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { formatSeconds } from '../../model/sizes.ts';
import { convergence } from './convergence.ts';
import type { CutConnection } from './cut-connection.ts';
import { destinationXml } from './disk-xml.ts';
import { refuseHeld } from './domain-job.ts';
import type { LocatedDisk } from './find-domain.ts';
import { askMonitor, located, type ObservationTools } from './observe-disk.ts';
import { resumeMirror, setMirrorBandwidth } from './mirror-speed.ts';
import { type DiskMove, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { readJob } from './qmp.ts';
import { whileOpening, whyUnreachable } from './reach-export.ts';
import type { MirrorPosition } from './verdict.ts';
import { refusalIn, type Virsh, withFile } from './virsh.ts';

export interface MirrorInput extends DiskMove {
  /** Bytes a second; null is no cap. */
  readonly bandwidth: number | null;
}

export interface MirrorOptions {
  /** Aborted: the activity returns; the mirror itself goes on. */
  readonly signal: AbortSignal;
  /** `outpaced`: for a while now what is left has not become less, because the guest writes as fast as the mirror copies. */
  readonly onPosition: (position: MirrorPosition, outpaced: boolean) => void;
  /** A mirror that moves no byte for this long has failed. Milliseconds. */
  readonly noProgressMs: number;
}

/** Often enough that a small mirror's end is not waited for; each look starts a program or more. Milliseconds. */
const soonestLookMs = 500;

/** Seldom enough that hours of mirroring cost nothing, often enough to see it move. Milliseconds. */
const latestLookMs = 2_000;

/** How long what is left of a mirror may stay the same. Milliseconds. */
const outpacedAfterMs = 30_000;

/** QEMU keeps a cap in bursts of up to this many bytes, and then rests. */
const burstBytes = 64 * 1024 ** 2;

/** Starts the mirror or takes over the one that runs, and stays with it until both disks hold the same. */
export async function mirrorDisk(
  tools: ObservationTools & { cut: CutConnection },
  input: MirrorInput,
  options: MirrorOptions,
): Promise<{ ready: boolean; position: MirrorPosition | null }> {
  const { signal, noProgressMs } = options;
  let position: MirrorPosition | null = null;
  let firstSeen: { bytesDone: number; at: number } | null = null;
  let movedAt = Date.now();
  let begun = false;
  const mirror = convergence();
  const hear = (now: MirrorPosition) => {
    if (now.bytesDone !== position?.bytesDone) movedAt = Date.now();
    position = now;
    firstSeen ??= { bytesDone: now.bytesDone, at: Date.now() };
    const left = now.totalBytes - now.bytesDone;
    options.onPosition(now, mirror.outpaced(left, Date.now(), Math.max(outpacedAfterMs, restMs(now))));
  };
  const untilNextLook = () => pause(position && firstSeen ? nextLookMs(position, firstSeen) : soonestLookMs, signal);
  while (!signal.aborted) {
    const { stands, seen } = await probeDisk(tools, input);
    if (stands.kind === 'not-started' && !begun) {
      await refuseHeld(tools.virsh, input);
      await startMirror(tools, input, located(input, seen), seen.live!.device);
      begun = true;
      movedAt = Date.now();
      continue;
    }
    if (stands.kind === 'ending') {
      // An abort of an earlier try: wait for its end, then start anew.
      if (Date.now() - movedAt > noProgressMs) throw hopelessVerdict(stands, input);
      await pause(soonestLookMs, signal);
      continue;
    }
    if (stands.kind === 'done' || stands.kind === 'done-but-saved-xml-is-old') return { ready: true, position };
    if (stands.kind !== 'copying' && stands.kind !== 'ready') throw hopelessVerdict(stands, input);
    const disk = located(input, seen);
    const { device } = seen.live!;
    if (begun && !isAsAsked(stands.position, input.bandwidth)) throw touched(input, stands.position);
    if (!begun) await adopt(tools.virsh, input, disk, device, stands.position);
    begun = true;
    hear(stands.position);
    if (stands.kind === 'ready') return { ready: true, position };
    if (Date.now() - movedAt > noProgressMs + restMs(stands.position))
      throw stuck(input, stands.position, noProgressMs);
    await untilNextLook();
    // Between full looks QEMU alone is asked; whatever is not plain copying is looked at in full.
    for (
      let now;
      !signal.aborted && (now = await copyingPosition(tools.virsh, disk, device, input.bandwidth));
      await untilNextLook()
    ) {
      hear(now);
      if (Date.now() - movedAt > noProgressMs + restMs(now)) throw stuck(input, now, noProgressMs);
    }
  }
  return { ready: false, position };
}

async function pause(forMs: number, signal: AbortSignal): Promise<void> {
  await sleep(forMs, null, { signal }).catch(() => {});
}

/** A tenth of the time that the mirror still needs at the pace it has had since it was first seen, within limits. Milliseconds. */
function nextLookMs({ bytesDone, totalBytes }: MirrorPosition, first: { bytesDone: number; at: number }): number {
  const bytesPerMs = (bytesDone - first.bytesDone) / Math.max(Date.now() - first.at, 1);
  const leftMs = bytesPerMs > 0 ? (totalBytes - bytesDone) / bytesPerMs : 0;
  return Math.min(Math.max(leftMs / 10, soonestLookMs), latestLookMs);
}

function stuck(input: MirrorInput, at: MirrorPosition, noProgressMs: number): FerryError {
  const where = `${at.bytesDone} of ${at.totalBytes} bytes`;
  return new FerryError(
    'NoProgress',
    `The mirror of ${input.volumeId} stays at ${where} for ${formatSeconds(noProgressMs / 1000)}: the destination or the network hangs.`,
    {
      ...at,
    },
  );
}

function restMs({ speed }: MirrorPosition): number {
  return speed > 0 ? (burstBytes / speed) * 1000 : 0;
}

/** Somebody has paused or capped it in QEMU: that is told, and the next try puts it right. */
function touched(input: MirrorInput, at: MirrorPosition): FerryError {
  return new FerryError(
    'NoProgress',
    `Somebody has ${at.paused ? 'paused' : 'capped'} the mirror of ${input.volumeId} in the hypervisor, beside Ferry; it goes on as it was ` +
      'asked to. Use ferry migration pause, or its bandwidth.',
    { ...at, because: 'by-hand' },
  );
}

/** Neither paused nor slower than it may be; a cap that was lifted meanwhile is no harm. */
function isAsAsked({ paused, speed }: Pick<MirrorPosition, 'paused' | 'speed'>, bandwidth: number | null): boolean {
  return !paused && (speed === 0 || (bandwidth !== null && speed >= bandwidth));
}

/** Null when the mirror is not plainly copying any more as it was asked to, or QEMU does not say. */
async function copyingPosition(
  virsh: Virsh,
  { domain }: LocatedDisk,
  device: string,
  bandwidth: number | null,
): Promise<MirrorPosition | null> {
  try {
    const job = readJob(await askMonitor(virsh, domain, 'query-block-jobs'), device);
    if (!job || job.ready || job.status !== 'running' || !isAsAsked(job, bandwidth)) return null;
    return { bytesDone: job.offset, totalBytes: job.length, speed: job.speed, paused: job.paused };
  } catch {
    return null;
  }
}

/** A job of an earlier try, or one that somebody has touched by hand, may have another cap, or be paused. */
async function adopt(
  virsh: Virsh,
  { bandwidth }: MirrorInput,
  disk: LocatedDisk,
  device: string,
  position: MirrorPosition,
): Promise<void> {
  if (position.speed !== (bandwidth ?? 0)) await setMirrorBandwidth(virsh, disk, device, bandwidth);
  if (position.paused) await resumeMirror(virsh, disk, device);
}

async function startMirror(
  tools: { virsh: Virsh; cut: CutConnection },
  input: MirrorInput,
  disk: LocatedDisk,
  device: string,
): Promise<void> {
  const { virsh } = tools;
  const why = await whyUnreachable(input.destination);
  if (why !== null)
    throw new FerryError('MirrorFailed', `The mirror of ${input.volumeId} is not begun: from the hypervisor ${why}.`, {
      because: 'destination-unreachable',
    });
  const cap = input.bandwidth === null ? [] : ['--bandwidth', String(input.bandwidth), '--bytes'];
  try {
    await withFile(destinationXml(input.destination), (file) =>
      whileOpening(tools, input.destination, () =>
        virsh(
          'blockcopy',
          '--domain',
          disk.domain,
          '--path',
          device,
          '--xml',
          file,
          '--reuse-external',
          '--transient-job',
          ...cap,
        ),
      ),
    );
  } catch (error) {
    const refusal = refusalIn(error);
    // Another try was faster, or the guest has just ended: the next look says so.
    if (refusal === 'job-exists' || refusal === 'not-running') return;
    if (refusal !== 'other') throw error;
    throw new FerryError(
      'MirrorFailed',
      `The mirror of ${input.volumeId} could not be started: ${(error as Error).message}`,
      {},
      { cause: error },
    );
  }
}
