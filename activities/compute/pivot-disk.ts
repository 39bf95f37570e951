import { setTimeout as sleep } from 'node:timers/promises';
import type { CutConnection } from './cut-connection.ts';
import { resumeMirror } from './mirror-speed.ts';
import type { ObservationTools } from './observe-disk.ts';
import { type DiskMove, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { saveSource } from './saved-definition.ts';
import { refusalIn, type Virsh } from './virsh.ts';

export interface EndingOptions {
  /** A pivot or abort that takes longer than this waits for a destination that hangs: its connection is cut. Milliseconds. */
  readonly cutAfterMs: number;
  /** Then the step gives up, and may be tried again. Milliseconds. */
  readonly giveUpAfterMs: number;
}

export interface PivotOptions extends EndingOptions {
  /** An earlier try has told libvirt to pivot, and nobody heard what came of it. */
  readonly begun: boolean;
  /** Called before libvirt is told to pivot, and when it has refused: what a later try must know. */
  readonly onBegun: (begun: boolean) => void;
}

/** A pivot takes some tens of milliseconds. */
const lookEveryMs = 200;

/** Turns the guest from the source to the destination, live and in its definition, and makes sure of both. */
export async function pivotDisk(
  tools: ObservationTools & { cut: CutConnection },
  move: DiskMove,
  options: PivotOptions,
): Promise<{ device: string | null }> {
  const since = Date.now();
  let begun = options.begun;
  let cutAt: number | null = null;
  for (;;) {
    const { stands, seen } = await probeDisk(tools, move);
    switch (stands.kind) {
      case 'done':
      case 'off-on-destination':
        return { device: seen.live?.device ?? seen.saved?.device ?? null };
      case 'done-but-saved-xml-is-old':
        if (!seen.persistent) return { device: seen.live!.device };
        await saveSource(tools.virsh, move, seen.live!.device, move.destination);
        continue;
      case 'ready':
        if (stands.position.paused) await resumeMirror(tools.virsh, move, seen.live!.device);
        begun = true;
        options.onBegun(true);
        if (
          !(await pivot(tools.virsh, move, seen.live!.device, () => tools.cut(move.destination), options.cutAfterMs))
        ) {
          begun = false;
          options.onBegun(false);
        }
        break;
      case 'off-on-source':
        // In the few milliseconds of a pivot the guest may have written to the destination before it ended.
        if (begun)
          throw hopelessVerdict(
            {
              kind: 'park',
              reason: 'The guest ended while it was being turned to the destination; its definition names the source.',
            },
            move,
          );
        throw hopelessVerdict(stands, move);
      case 'copying':
      case 'ending':
      case 'unknown':
        if (Date.now() - since > options.cutAfterMs && stands.kind !== 'copying' && cutAt === null) {
          cutAt = Date.now();
          await tools.cut(move.destination).catch(() => {});
        }
        if (Date.now() - since > options.giveUpAfterMs) throw hopelessVerdict(stands, move);
        break;
      case 'not-started':
      case 'no-domain':
      case 'no-disk':
      case 'libvirtd-down':
      case 'park':
        throw hopelessVerdict(stands, move);
    }
    await sleep(lookEveryMs);
  }
}

/** Tells libvirt to pivot. False: it refused, and nothing was begun. A call that hangs is freed by cutting the connection. */
async function pivot(
  virsh: Virsh,
  move: DiskMove,
  device: string,
  cut: () => Promise<void>,
  cutAfterMs: number,
): Promise<boolean> {
  // What a cut brings about, or why it failed, the next look tells.
  const timer = setTimeout(() => void cut().catch(() => {}), cutAfterMs);
  try {
    await virsh('blockjob', '--domain', move.instance, '--path', device, '--pivot');
    return true;
  } catch (error) {
    const refusal = refusalIn(error);
    return refusal !== 'not-ready' && refusal !== 'no-job' && refusal !== 'not-running';
  } finally {
    clearTimeout(timer);
  }
}
