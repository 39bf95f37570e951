import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { type CutConnection, yankMirror } from './cut-connection.ts';
import type { DomainDisk } from './domain-xml.ts';
import { resumeMirror } from './mirror-speed.ts';
import type { LocatedDisk } from './find-domain.ts';
import { located, type ObservationTools } from './observe-disk.ts';
import type { EndingOptions } from './pivot-disk.ts';
import { type DiskMoveByName, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { saveSource } from './saved-definition.ts';
import { refusalIn, type Virsh } from './virsh.ts';

const lookEveryMs = 300;

/** Ends the mirror; the guest goes on with the source. On return nothing of this hypervisor writes to the destination. */
export async function abortMirror(
  tools: ObservationTools & { cut: CutConnection },
  move: DiskMoveByName,
  options: EndingOptions,
): Promise<void> {
  const since = Date.now();
  let cut = false;
  for (;;) {
    const { stands, seen } = await probeDisk(tools, move);
    switch (stands.kind) {
      case 'not-started':
      case 'foreign-job':
      case 'off-on-source':
      case 'no-domain':
      case 'no-disk':
        return;
      case 'done':
      case 'done-but-saved-xml-is-old':
      case 'off-on-destination':
        // What goes forward from here must not find the source in the definition at the guest's next start.
        if (stands.kind === 'done-but-saved-xml-is-old' && seen.persistent && move.destination.kind !== 'named') {
          await saveSource(tools.virsh, located(move, seen), seen.live!.device, move.destination);
          break;
        }
        throw new FerryError(
          'PastPointOfNoReturn',
          `Instance ${move.instance} writes volume ${move.volumeId} to the destination already.`,
          { verdict: stands.kind },
        );
      case 'copying':
      case 'ready':
        await endMirror(tools.virsh, located(move, seen), seen.live!, stands.position.paused);
        break;
      case 'ending':
      case 'unknown':
        // Not in the middle of a pivot: the guest may be on that connection already, and QEMU would never open it again.
        if (seen.live?.mirror && seen.live.mirror.ready !== 'pivot')
          await yankMirror(tools.virsh, located(move, seen), seen.live);
        if (Date.now() - since > options.cutAfterMs && !cut && move.destination.kind !== 'named') {
          cut = true;
          await tools.cut(move.destination).catch(() => {});
        }
        break;
      case 'libvirtd-down':
      case 'park':
        throw hopelessVerdict(stands, move);
    }
    if (Date.now() - since > options.giveUpAfterMs) throw hopelessVerdict(stands, move);
    await sleep(lookEveryMs);
  }
}

/** Tells QEMU to end the mirror of that disk. Whether it has, a later look tells. */
export async function endMirror(virsh: Virsh, disk: LocatedDisk, live: DomainDisk, paused: boolean): Promise<void> {
  await yankMirror(virsh, disk, live);
  // QEMU refuses to end a job that rests.
  if (paused) await resumeMirror(virsh, disk, live.device);
  await abort(virsh, disk, live.device);
}

async function abort(virsh: Virsh, disk: LocatedDisk, device: string): Promise<void> {
  try {
    await virsh('blockjob', '--domain', disk.domain, '--path', device, '--abort', '--async');
  } catch (error) {
    // It has ended by itself, or somebody is at it: the next look tells.
    if (refusalIn(error) === null || refusalIn(error) === 'other') throw error;
  }
}
