import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { type CutConnection, yankMirror } from './cut-connection.ts';
import { resumeMirror } from './mirror-speed.ts';
import type { ObservationTools } from './observe-disk.ts';
import type { EndingOptions } from './pivot-disk.ts';
import { type DiskMove, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { saveSource } from './saved-definition.ts';
import { refusalIn, type Virsh } from './virsh.ts';

const lookEveryMs = 300;

/** Ends the mirror; the guest goes on with the source. On return nothing of this hypervisor writes to the destination. */
export async function abortMirror(
  tools: ObservationTools & { cut: CutConnection },
  move: DiskMove,
  options: EndingOptions,
): Promise<void> {
  const since = Date.now();
  let cut = false;
  for (;;) {
    const { stands, seen } = await probeDisk(tools, move);
    switch (stands.kind) {
      case 'not-started':
      case 'off-on-source':
      case 'no-domain':
      case 'no-disk':
        return;
      case 'done':
      case 'done-but-saved-xml-is-old':
      case 'off-on-destination':
        // What goes forward from here must not find the source in the definition at the guest's next start.
        if (stands.kind === 'done-but-saved-xml-is-old' && seen.persistent) {
          await saveSource(tools.virsh, move, seen.live!.device, move.destination);
          break;
        }
        throw new FerryError(
          'PastPointOfNoReturn',
          `Instance ${move.instance} writes volume ${move.volumeId} to the destination already.`,
          { verdict: stands.kind },
        );
      case 'copying':
      case 'ready':
        await yankMirror(tools.virsh, move, seen.live!);
        // QEMU refuses to end a job that rests.
        if (stands.position.paused) await resumeMirror(tools.virsh, move, seen.live!.device);
        await abort(tools.virsh, move, seen.live!.device);
        break;
      case 'ending':
      case 'unknown':
        // Not in the middle of a pivot: the guest may be on that connection already, and QEMU would never open it again.
        if (seen.live?.mirror && seen.live.mirror.ready !== 'pivot') await yankMirror(tools.virsh, move, seen.live);
        if (Date.now() - since > options.cutAfterMs && !cut) {
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

async function abort(virsh: Virsh, move: DiskMove, device: string): Promise<void> {
  try {
    await virsh('blockjob', '--domain', move.instance, '--path', device, '--abort', '--async');
  } catch (error) {
    // It has ended by itself, or somebody is at it: the next look tells.
    if (refusalIn(error) === null || refusalIn(error) === 'other') throw error;
  }
}
