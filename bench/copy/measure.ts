import { readdirSync, readFileSync } from 'node:fs';

/** What one run cost: wall time, CPU of the pulling and of the serving side, most memory of a process that was started. */
export interface Cost {
  readonly seconds: number;
  readonly clientCpu: number;
  readonly serverCpu: number;
  readonly peakBytes: number;
}

const ticksPerSecond = 100;

/** Fields of /proc/PID/stat, counted from the state as 3, as proc(5) does. */
function statFields(pid: number | 'self'): (at: number) => number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (at) => Number(fields[at - 3]);
}

/** CPU seconds of this process and of all children that it has waited for. */
function ownCpu(): number {
  const field = statFields('self');
  return (field(14) + field(15) + field(16) + field(17)) / ticksPerSecond;
}

function cpuOf(pid: number): number {
  const field = statFields(pid);
  return (field(14) + field(15)) / ticksPerSecond;
}

function childrenPeak(except: number): number {
  const peaks = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== except)
    .map((entry) => {
      try {
        const status = readFileSync(`/proc/${entry}/status`, 'utf8');
        if (Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) !== process.pid) return 0;
        return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
      } catch {
        return 0; // ended in between
      }
    });
  return Math.max(0, ...peaks);
}

export async function measure(serverPid: number, work: () => Promise<unknown>): Promise<Cost> {
  let peakBytes = 0;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, childrenPeak(serverPid));
  }, 200);
  const [clientBefore, serverBefore] = [ownCpu(), cpuOf(serverPid)];
  const started = performance.now();
  try {
    await work();
    const seconds = (performance.now() - started) / 1000;
    return { seconds, clientCpu: ownCpu() - clientBefore, serverCpu: cpuOf(serverPid) - serverBefore, peakBytes };
  } finally {
    clearInterval(sampler);
  }
}

/** The median by time of several runs, and how far apart they were. */
export function median(costs: readonly Cost[]): Cost & { readonly least: number; readonly most: number } {
  const sorted = costs.toSorted((a, b) => a.seconds - b.seconds);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]!;
  return {
    ...middle,
    least: sorted[0]!.seconds,
    most: sorted.at(-1)!.seconds,
    peakBytes: Math.max(...costs.map((c) => c.peakBytes)),
  };
}
