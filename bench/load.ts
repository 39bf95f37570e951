import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeToEmpty } from './evacuation/node-to-empty.ts';
import type { BenchOptions } from './run.ts';

/** How often it is looked what copies. Milliseconds. */
const lookEveryMs = 100;

/**
 * 200 migrations in flight at once, all of them between two nodes with their default settings: none may fail. Tells how many copies were
 * seen on the destination at once, and each worker's memory at its peak. `--scale` changes 200.
 */
export async function run({ scale }: BenchOptions): Promise<void> {
  await NodeToEmpty.during(async (node) => {
    const count = Math.max(1, Math.round(200 * scale));
    await node.fill(count);
    const over = new AbortController();
    const copies = mostCopies(join(node.system.directory, 'nodes/server2/files-2/volumes'), over.signal);
    const { seconds } = await node.evacuate('reread', 'server1', count).finally(() => over.abort());
    console.log(`${count} migrations in flight at once: none failed, ${seconds.toFixed(1)} s`);
    console.log(`  at most ${await copies} transfers at once on the destination's node; memory at its peak:`);
    for (const line of await workersMemory()) console.log(`  ${line}`);
  });
}

/** The most processes that were seen to have a file of the folder open at once: each copier has one. */
async function mostCopies(folder: string, signal: AbortSignal): Promise<number> {
  let most = 0;
  for (; !signal.aborted; await sleep(lookEveryMs)) {
    let now = 0;
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (!command.includes('copier-process')) continue;
      const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
      const files = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
      if (files.some((file) => file.startsWith(folder))) now += 1;
    }
    most = Math.max(most, now);
  }
  return most;
}

/** What the workers that this process started have had in memory at most, each by its name. */
async function workersMemory(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const kind = /worker\0(\w+)/.exec(command)?.[1];
    if (kind === undefined || !status.includes(`PPid:\t${process.pid}\n`)) continue;
    const kib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
    found.push(`worker ${kind.padEnd(8)} ${(kib / 1024).toFixed(0)} MiB`);
  }
  return found;
}
