import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ferry } from '../../client/open-ferry.ts';
import type { Stage } from '../end-to-end/stage.ts';
import type { Disturbance } from './scenario.ts';
import type { Tally } from './tally.ts';

/** How long an evacuation is let go on before it is cancelled. Milliseconds. */
const evacuationMs = 15_000;
/** More than any back end has. Bytes. */
const everything = 64 * 1024 ** 4;

/** Does harm to a stage. What it suspends, fills or disables is made good when it resolves. */
export async function disturb(stage: Stage, ferry: Ferry, tally: Tally, it: Disturbance): Promise<void> {
  const worker = (name: string) => (name === 'control' ? stage.control : stage.storage[name]!);
  tally.count('disturbance', it.what);
  switch (it.what) {
    case 'a worker is killed':
      return worker(it.worker).signal('SIGKILL');
    case 'a worker is suspended':
      await worker(it.worker).signal('SIGSTOP');
      await sleep(it.ms);
      return worker(it.worker).signal('SIGCONT');
    case 'an export server is killed': {
      const pids = await exportServers(join(stage.directory, 'nodes'));
      if (pids.length > 0) process.kill(pids[it.which % pids.length]!, 'SIGKILL');
      return;
    }
    case 'Temporal crashes':
      await stage.temporal.crash();
      return stage.temporal.restart();
    case 'Postgres crashes':
      await stage.postgres.crash();
      return stage.postgres.restart();
    case 'a back end is full': {
      const [node, group] = it.backEnd.split('@') as [string, string];
      const stranger = join(stage.directory, 'nodes', node, group, 'volumes', 'stranger');
      await writeFile(stranger, '');
      await truncate(stranger, everything).catch(() => truncate(stranger, everything / 8));
      await sleep(it.ms);
      return rm(stranger);
    }
    case 'a back end is evacuated':
      try {
        await ferry.startEvacuation({ source: it.backEnd, nodeTimeoutSeconds: 120 });
        await sleep(evacuationMs);
        await ferry.cancelMoves(it.backEnd, it.cancelled ? 'cancel' : 'finish').catch(() => {});
      } catch (error) {
        tally.count('evacuation refused', (error as { type?: string }).type ?? String(error));
      }
      return enabled(ferry, it.backEnd);
  }
}

/** Postgres may be away at the moment. */
async function enabled(ferry: Ferry, backEnd: string): Promise<void> {
  for (;;) {
    try {
      await ferry.enableBackEnd(backEnd);
      return;
    } catch {
      await sleep(1000);
    }
  }
}

/** The pids of the export servers of the nodes in `folder`. */
async function exportServers(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((_, n) => /qemu-nbd\0/.test(lines[n]!) && lines[n]!.includes(folder)).map(Number);
}
