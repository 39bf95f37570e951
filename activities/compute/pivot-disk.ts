import { setTimeout as sleep } from 'node:timers/promises';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import type { CutConnection } from './cut-connection.ts';
import { resumeMirror } from './mirror-speed.ts';
import type { LocatedDisk } from './find-domain.ts';
import { located, type Observations, type ObservationTools } from './observe-disk.ts';
import { type DiskMove, hopelessVerdict, probeDisk } from './probe-disk.ts';
import { identifyQemu } from './qemu-process.ts';
import { saveSource } from './saved-definition.ts';
import { refusalIn, type Virsh } from './virsh.ts';

export interface EndingOptions {
  /** A pivot or abort that takes longer than this waits for a destination that hangs: its connection is cut. Milliseconds. */
  readonly cutAfterMs: number;
  /** Then the step gives up, and may be tried again. Milliseconds. */
  readonly giveUpAfterMs: number;
}

export interface PivotOptions extends EndingOptions {
  /** An earlier try has told this QEMU to pivot, and nobody heard what came of it. `unknown`: it did not say which. */
  readonly begun: Asked;
  /** Called before libvirt is told to pivot, and when it has refused: what a later try must know. */
  readonly onBegun: (begun: Asked) => void;
}

type Asked = QemuIdentity | 'unknown' | null;

/** A pivot takes some tens of milliseconds. */
const lookEveryMs = 200;

/** Turns the guest from the source to the destination, live and in its definition, and makes sure of both. */
export async function pivotDisk(
  tools: ObservationTools & { cut: CutConnection },
  move: DiskMove,
  options: PivotOptions,
): Promise<{ device: string | null }> {
  const since = Date.now();
  // What the workflow noted before the first try holds longer than any beat.
  let asked: Asked = move.asked ?? options.begun;
  let cutAt: number | null = null;
  for (;;) {
    const { stands, seen } = await probeDisk(tools, { ...move, asked });
    if (move.isDecided && isOff(seen)) {
      if (seen.saved) await saveSource(tools.virsh, located(move, seen), seen.saved.device, move.destination);
      return { device: seen.saved?.device ?? null };
    }
    switch (stands.kind) {
      case 'done':
      case 'off-on-destination':
        return { device: seen.live?.device ?? seen.saved?.device ?? null };
      case 'done-but-saved-xml-is-old':
        if (!seen.persistent) return { device: seen.live!.device };
        await saveSource(tools.virsh, located(move, seen), seen.live!.device, move.destination);
        continue;
      case 'ready':
        asked = await turn(tools, located(move, seen), seen.live!.device, {
          move,
          options,
          asked,
          paused: stands.position.paused,
        });
        break;
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
      case 'foreign-job':
      case 'off-on-source':
      case 'no-domain':
      case 'no-disk':
      case 'libvirtd-down':
      case 'park':
        throw hopelessVerdict(stands, move);
    }
    await sleep(lookEveryMs);
  }
}

function isOff({ libvirt, domain, strayQemu }: Observations): boolean {
  return libvirt === 'answers' && strayQemu === null && !domain?.active;
}

/** Asks the guest's QEMU to pivot; whom a later look has to ask what came of it. */
async function turn(
  tools: ObservationTools & { cut: CutConnection },
  disk: LocatedDisk,
  device: string,
  { move, options, asked, paused }: { move: DiskMove; options: PivotOptions; asked: Asked; paused: boolean },
): Promise<Asked> {
  if (paused) await resumeMirror(tools.virsh, disk, device);
  const pid = await tools.findQemuProcess({ name: disk.instance, uuid: disk.domain });
  const now = (pid === null ? null : await identifyQemu(pid)) ?? 'unknown';
  options.onBegun(now);
  if (await pivot(tools.virsh, disk, device, () => tools.cut(move.destination), options.cutAfterMs)) return now;
  options.onBegun(asked);
  return asked;
}

/** Tells libvirt to pivot. False: it refused, and nothing was begun. A call that hangs is freed by cutting the connection. */
async function pivot(
  virsh: Virsh,
  disk: LocatedDisk,
  device: string,
  cut: () => Promise<void>,
  cutAfterMs: number,
): Promise<boolean> {
  // What a cut brings about, or why it failed, the next look tells.
  const timer = setTimeout(() => void cut().catch(() => {}), cutAfterMs);
  try {
    await virsh('blockjob', '--domain', disk.domain, '--path', device, '--pivot');
    return true;
  } catch (error) {
    const refusal = refusalIn(error);
    return refusal !== 'not-ready' && refusal !== 'no-job' && refusal !== 'not-running';
  } finally {
    clearTimeout(timer);
  }
}
