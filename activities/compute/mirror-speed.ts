import { setTimeout as sleep } from 'node:timers/promises';
import type { LocatedDisk } from './find-domain.ts';
import { askMonitor } from './observe-disk.ts';
import { readJob } from './qmp.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** Sets the cap of a running mirror, in bytes a second; null is none. Holds from the next moment on. No mirror: nothing happens. */
export async function setMirrorBandwidth(
  virsh: Virsh,
  at: LocatedDisk,
  device: string,
  bandwidth: number | null,
): Promise<void> {
  const cap = ['--bandwidth', String(bandwidth ?? 0), '--bytes'];
  await unlessEnded(() => virsh('blockjob', '--domain', at.domain, '--path', device, ...cap));
}

/** Lets the mirror rest: it goes on to note what the guest writes, and copies nothing. No mirror: nothing happens. */
export async function pauseMirror(virsh: Virsh, at: LocatedDisk, device: string): Promise<void> {
  await tellJob(virsh, at, device, 'block-job-pause', false);
}

/** Undoes `pauseMirror`. */
export async function resumeMirror(virsh: Virsh, at: LocatedDisk, device: string): Promise<void> {
  await tellJob(virsh, at, device, 'block-job-resume', true);
}

/** Where a mirror rests: another mirror, or one that went on meanwhile, rests elsewhere. */
export interface Rest {
  readonly job: string;
  readonly bytesDone: number;
}

/** What is on its way to a destination that works is there in a moment; one that hangs is another step's affair. Milliseconds. */
const restPatience = 30_000;

/** As `pauseMirror`, and waits until nothing of it is on its way to the destination. Null: no mirror, or it does not come to rest. */
export async function holdMirror(virsh: Virsh, at: LocatedDisk, device: string): Promise<Rest | null> {
  await pauseMirror(virsh, at, device);
  for (const deadline = Date.now() + restPatience; Date.now() < deadline; await sleep(100)) {
    const job = readJob(await askMonitor(virsh, at.domain, 'query-block-jobs'), device);
    if (!job?.paused) return null;
    // QEMU says so only when all its requests have been answered: 'standby' of a mirror that is ready.
    if (job.status === 'paused' || job.status === 'standby') return { job: job.id, bytesDone: job.offset };
  }
  return null;
}

async function tellJob(
  virsh: Virsh,
  at: LocatedDisk,
  device: string,
  command: string,
  whenPaused: boolean,
): Promise<void> {
  const job = readJob(await askMonitor(virsh, at.domain, 'query-block-jobs'), device);
  if (job?.paused !== whenPaused) return;
  await unlessEnded(() => askMonitor(virsh, at.domain, command, { device: job.id }));
}

/** A mirror may end between a look at it and a word to it. What became of it, the caller's next look tells. */
async function unlessEnded(tell: () => Promise<unknown>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal !== 'no-job' && refusal !== 'job-ended') throw error;
  }
}
