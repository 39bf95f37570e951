import { askMonitor, type DiskOfInstance } from './observe-disk.ts';
import { readJob } from './qmp.ts';
import type { Virsh } from './virsh.ts';

/** Sets the cap of a running mirror, in bytes a second; null is none. Holds from the next moment on. */
export async function setMirrorBandwidth(
  virsh: Virsh,
  at: DiskOfInstance,
  device: string,
  bandwidth: number | null,
): Promise<void> {
  await virsh('blockjob', '--domain', at.instance, '--path', device, '--bandwidth', String(bandwidth ?? 0), '--bytes');
}

/** Lets the mirror rest: it goes on to note what the guest writes, and copies nothing. No mirror: nothing happens. */
export async function pauseMirror(virsh: Virsh, at: DiskOfInstance, device: string): Promise<void> {
  await tellJob(virsh, at, device, 'block-job-pause', false);
}

/** Undoes `pauseMirror`. */
export async function resumeMirror(virsh: Virsh, at: DiskOfInstance, device: string): Promise<void> {
  await tellJob(virsh, at, device, 'block-job-resume', true);
}

async function tellJob(
  virsh: Virsh,
  at: DiskOfInstance,
  device: string,
  command: string,
  whenPaused: boolean,
): Promise<void> {
  const job = readJob(await askMonitor(virsh, at.instance, 'query-block-jobs'), device);
  if (job && job.paused === whenPaused) await askMonitor(virsh, at.instance, command, { device: job.id });
}
