import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { assertDomain } from './attach-disk.ts';
import { type DiskOfInstance, observeDisk, type ObservationTools } from './observe-disk.ts';
import { refusalIn } from './virsh.ts';

/** How long a guest may take to let go of a disk. A guest that has just begun to boot hears the request only later. */
const releaseMs = 60_000;
const askAgainEveryMs = 5_000;
const lookEveryMs = 300;

/** Takes the disk out of the definition, then out of the running guest, and waits until the guest has let go of it. */
export async function detachDisk(tools: ObservationTools, at: DiskOfInstance): Promise<void> {
  const deadline = Date.now() + releaseMs;
  let askedAt = 0;
  for (;;) {
    const seen = await observeDisk(tools, at);
    if (seen.libvirt === 'answers' && !seen.domain && seen.strayQemu === null) return;
    assertDomain(seen, at);
    if (!seen.live && !seen.saved) return;
    if (seen.live?.mirror) {
      throw new FerryError(
        'InstanceNotReady',
        `Volume ${at.volumeId} of instance ${at.instance} is being mirrored. Cancel the migration first.`,
      );
    }
    if (seen.saved)
      await tools.virsh('detach-disk', '--domain', at.instance, '--target', seen.saved.device, '--config');
    if (seen.live && Date.now() - askedAt >= askAgainEveryMs) {
      askedAt = Date.now();
      await requestRelease(tools, at.instance, seen.live.device);
    }
    if (Date.now() > deadline) {
      throw new FerryError(
        'DeviceInUse',
        `Instance ${at.instance} does not let go of ${seen.live?.device ?? 'the disk'}. Is its system up, and the disk unmounted?`,
      );
    }
    await sleep(lookEveryMs);
  }
}

async function requestRelease({ virsh }: ObservationTools, instance: string, device: string): Promise<void> {
  try {
    await virsh('detach-disk', '--domain', instance, '--target', device, '--live');
  } catch (error) {
    // The request is with the guest already, or the guest has just ended: the next look tells.
    const refusal = refusalIn(error);
    if (refusal !== 'already-so' && refusal !== 'not-running') throw error;
  }
}
