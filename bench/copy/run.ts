import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { createCopier } from '../../activities/storage/copier/create-copier.ts';
import type { Copier } from '../../activities/storage/copy-job.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { BenchOptions } from '../run.ts';
import { contestants, type Contestant, type Task } from './contestants.ts';
import { measure, median, type Cost } from './measure.ts';
import { whileServed, type Served, type ServerKind } from './server.ts';
import { scenarios, writeSource, type Scenario } from './volumes.ts';

/** How long the copier's next process needs to be there, as it is between two migrations. */
const settle = 1500;

/** Copies one folder's volume within the disk, by Ferry and by the usual tools. Prints a table for each kind of content. */
export async function run({ rounds, scale }: BenchOptions): Promise<void> {
  const folder = await mkdtemp(path.join(process.env['FERRY_BENCH_DIRECTORY'] ?? tmpdir(), 'ferry-bench-'));
  const copier = createCopier();
  try {
    console.log(`Copies within ${folder}, over TCP on loopback but for dd; median of ${rounds}, in turns.`);
    for (const scenario of scenarios(scale)) await runScenario(folder, copier, scenario, rounds);
  } finally {
    await copier.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

async function runScenario(folder: string, copier: Copier, scenario: Scenario, rounds: number): Promise<void> {
  const source = path.join(folder, 'source');
  const destination = path.join(folder, 'destination');
  await writeSource(source, scenario);
  await dropFromCache(source);
  const costs = new Map<Contestant, Cost[]>(contestants(copier).map((contestant) => [contestant, []]));
  const compete = async (servers: Record<ServerKind, Served>) => {
    for (let round = 0; round < rounds; round += 1) {
      // Each in every place over the rounds: a disk that gives credit for a rest gives it to all alike.
      const order = [...costs];
      for (const [contestant, soFar] of [
        ...order.slice(round % order.length),
        ...order.slice(0, round % order.length),
      ]) {
        await freshFile(destination, scenario.sizeBytes);
        await sleep(settle);
        const { address, pid } = servers[contestant.server];
        const task: Task = { source, address, destination, sizeBytes: scenario.sizeBytes };
        soFar.push(await measure(pid, () => contestant.copy(task)));
        if (round === 0) await execa('cmp', ['--', source, destination]);
        await dropFromCache(source);
      }
    }
  };
  await whileServed('qemu-nbd', source, (theirs) =>
    whileServed('own', source, (ours) => compete({ 'qemu-nbd': theirs, own: ours })),
  );
  await Promise.all([source, destination].map((file) => rm(file)));
  report(scenario, costs);
}

async function freshFile(file: string, sizeBytes: number): Promise<void> {
  await rm(file, { force: true });
  const handle = await open(file, 'w');
  await handle.truncate(sizeBytes);
  await handle.sync();
  await handle.close();
  // What the last one left unwritten is not for the next one to wait for.
  await execa('sync', ['--file-system', file]);
}

async function dropFromCache(file: string): Promise<void> {
  await execa('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
}

function report({ name, sizeBytes }: Scenario, costs: ReadonlyMap<Contestant, readonly Cost[]>): void {
  const rows = [...costs].map(([contestant, all]) => ({ contestant, cost: median(all) }));
  const dd = rows[0]!.cost.seconds;
  const bestTool = Math.min(
    ...rows.filter(({ contestant }) => contestant.kind === 'tool').map(({ cost }) => cost.seconds),
  );
  const gib = sizeBytes / 1024 ** 3;
  const width = Math.max(...rows.map(({ contestant }) => contestant.name.length));
  console.log(`\n${name}, ${formatBytes(sizeBytes)}`);
  console.log(`${''.padEnd(width)}  seconds [least-most]    x dd  x best tool  CPU s/GiB client server  peak memory`);
  for (const { contestant, cost } of rows) {
    const spread = `[${cost.least.toFixed(2)}-${cost.most.toFixed(2)}]`;
    const cells = [
      contestant.name.padEnd(width),
      cost.seconds.toFixed(2).padStart(8),
      spread.padEnd(14),
      (dd / cost.seconds).toFixed(2).padStart(6),
      (bestTool / cost.seconds).toFixed(2).padStart(11),
      (cost.clientCpu / gib).toFixed(2).padStart(17),
      (contestant.kind === 'dd' ? '-' : (cost.serverCpu / gib).toFixed(2)).padStart(6),
      // A run may be too short for a look at its memory.
      (contestant.kind === 'ferry' && cost.peakBytes > 0 ? formatBytes(cost.peakBytes) : '-').padStart(12),
    ];
    console.log(cells.join(' '));
  }
}
