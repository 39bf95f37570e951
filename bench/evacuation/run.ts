import { randomBytes } from 'node:crypto';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { deviceName } from '../../model/names.ts';
import { readEvacuationPlan } from '../../registry/move-plans.ts';
import { noColumns } from '../../registry/rows.ts';
import type { BenchOptions } from '../run.ts';
import { first, NodeToEmpty } from './node-to-empty.ts';

const mib = 1024 ** 2;
/** Moves, and `dd`s, at once. */
const atOnce = 4;
const planned = 10_000;

/**
 * The evacuation of a node of 20 random 1 GiB volumes beside `dd`, one after another and as many at once; the cost of a volume at 10,
 * 100 and 1,000 empty volumes; the time to plan 10,000. `--scale` changes 20 and 1,000.
 */
export async function run({ scale }: BenchOptions): Promise<void> {
  await NodeToEmpty.during(async (node) => {
    await besideDd(node, Math.max(1, Math.round(20 * scale)));
    for (const count of [10, 100, Math.round(1000 * scale)]) await emptyVolumes(node, count);
    await planning(node);
  });
}

async function besideDd(node: NodeToEmpty, count: number): Promise<void> {
  for (const id of await node.fill(count)) {
    await using file = await open(join(node.volumes, deviceName({ id, nameId: null })), 'r+');
    for (let at = 0; at < 1024; at += 64) await file.write(randomBytes(64 * mib), 0, 64 * mib, at * mib);
    await file.sync();
  }
  const one = await dd(node, 1);
  const many = await dd(node, atOnce);
  console.log(`${count} random volumes of 1 GiB`);
  console.log(`  dd, one after another           ${one.toFixed(1)} s`);
  console.log(`  dd, ${atOnce} at once (xargs -P)        ${many.toFixed(1)} s  ${(one / many).toFixed(2)} x`);
  for (const verify of ['none', 'reread'] as const) {
    const { seconds } = await node.evacuate(verify, verify === 'none' ? 'server1' : 'server2', atOnce);
    const figures = `${(one / seconds).toFixed(2)} x one after another, ${(many / seconds).toFixed(2)} x dd with as many at once`;
    console.log(`  ferry, ${atOnce} at once, verify ${verify.padEnd(7)} ${seconds.toFixed(1)} s  ${figures}`);
  }
  await node.clear();
}

async function emptyVolumes(node: NodeToEmpty, count: number): Promise<void> {
  await node.fill(count);
  const { seconds, runs, events } = await node.evacuate('none', 'server1', atOnce);
  console.log(
    `${count} empty volumes: ${seconds.toFixed(1)} s, ${((1000 * seconds) / count).toFixed(0)} ms and ${(events / count).toFixed(1)} events of the evacuation a volume, in ${runs} runs`,
  );
  await node.clear();
}

async function planning({ registry }: NodeToEmpty): Promise<void> {
  await registry.rows(
    noColumns,
    `INSERT INTO volumes (id, tenant_id, size_bytes, status, host, availability_zone)
     SELECT gen_random_uuid(), 'bench', 1073741824, 'available', $1, 'zone1' FROM generate_series(1, $2)`,
    [first, planned],
  );
  const start = performance.now();
  const plan = await readEvacuationPlan(registry, { source: 'server1', to: [], order: 'largest' });
  console.log(`a plan of ${plan.moves.length} volumes: ${((performance.now() - start) / 1000).toFixed(2)} s`);
  await registry.rows(noColumns, 'DELETE FROM volumes');
}

/** Copies every file as Cinder's LVM driver would; what was made is deleted. Seconds. */
async function dd({ system, volumes }: NodeToEmpty, parallel: number): Promise<number> {
  const to = join(system.directory, 'dd');
  await execa('mkdir', ['-p', to]);
  const names = await readdir(volumes);
  const start = performance.now();
  const copy = ['dd', `if=${volumes}/{}`, `of=${to}/{}`, 'bs=1M', 'iflag=direct', 'oflag=direct', 'conv=fsync'];
  await execa('xargs', ['-P', String(parallel), '-I', '{}', ...copy], { input: names.join('\n') });
  const seconds = (performance.now() - start) / 1000;
  await rm(to, { recursive: true });
  return seconds;
}
