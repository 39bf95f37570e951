import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { execa } from 'execa';
import type { MovesReport } from '../model/evacuation.ts';
import { controlQueue, deviceName, evacuationWorkflowId, operationWorkflowId } from '../model/names.ts';
import { setDisabled } from '../registry/back-ends.ts';
import { readEvacuationPlan } from '../registry/move-plans.ts';
import { openRegistry, type Registry } from '../registry/open-registry.ts';
import { noColumns } from '../registry/rows.ts';
import { startSystem, type PlainSystem } from '../testbed/system.ts';
import type { BenchOptions } from './run.ts';

const mib = 1024 ** 2;
/** Moves, and `dd`s, at once. */
const atOnce = 4;
const planned = 10_000;
const [first, second] = ['server1@files-1', 'server2@files-2'] as const;

/**
 * The evacuation of a node of 20 random 1 GiB volumes beside `dd`, one after another and as many at once; the cost of a volume at 10,
 * 100 and 1,000 empty volumes; 200 migrations in flight at once; the time to plan 10,000. `--scale` changes 20, 1,000 and 200.
 */
export async function run({ scale }: BenchOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'ferry-bench-'));
  const node = (name: string, group: string) => ({ name, volumeGroups: [{ name: group, sizeMib: 64 * 1024 * 1024 }] });
  const nodes = [node('server1', 'files-1'), node('server2', 'files-2')];
  const system = await startSystem({ directory, backing: 'directory', nodes });
  const registry = await openRegistry(system.postgres.url);
  const connection = await Connection.connect({ address: system.temporal.address });
  try {
    const bench = new Bench(system, registry, new Client({ connection }));
    await bench.besideDd(Math.max(1, Math.round(20 * scale)));
    for (const count of [10, 100, Math.round(1000 * scale)]) await bench.emptyVolumes(count);
    await bench.load(Math.max(1, Math.round(200 * scale)));
    await bench.planning();
  } finally {
    await connection.close();
    await registry.close();
    await system.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

class Bench {
  readonly #system: PlainSystem;
  readonly #registry: Registry;
  readonly #client: Client;

  constructor(system: PlainSystem, registry: Registry, client: Client) {
    this.#system = system;
    this.#registry = registry;
    this.#client = client;
  }

  async besideDd(count: number): Promise<void> {
    const volumes = join(this.#system.directory, 'nodes/server1/files-1/volumes');
    for (const id of await this.#create(count)) {
      await using file = await open(join(volumes, deviceName({ id, nameId: null })), 'r+');
      for (let at = 0; at < 1024; at += 64) await file.write(randomBytes(64 * mib), 0, 64 * mib, at * mib);
      await file.sync();
    }
    const one = await this.#dd(volumes, 1);
    const many = await this.#dd(volumes, atOnce);
    console.log(`${count} random volumes of 1 GiB`);
    console.log(`  dd, one after another           ${one.toFixed(1)} s`);
    console.log(`  dd, ${atOnce} at once (xargs -P)        ${many.toFixed(1)} s  ${(one / many).toFixed(2)} x`);
    for (const verify of ['none', 'reread'] as const) {
      const { seconds } = await this.#evacuate(verify, verify === 'none' ? 'server1' : 'server2');
      const figures = `${(one / seconds).toFixed(2)} x one after another, ${(many / seconds).toFixed(2)} x dd with as many at once`;
      console.log(`  ferry, ${atOnce} at once, verify ${verify.padEnd(7)} ${seconds.toFixed(1)} s  ${figures}`);
    }
    await this.#clear();
  }

  async emptyVolumes(count: number): Promise<void> {
    await this.#create(count);
    const { seconds, runs, events } = await this.#evacuate('none', 'server1');
    console.log(
      `${count} empty volumes: ${seconds.toFixed(1)} s, ${((1000 * seconds) / count).toFixed(0)} ms and ${(events / count).toFixed(1)} events of the evacuation a volume, in ${runs} runs`,
    );
    await this.#clear();
  }

  /** So many migrations in flight at once, the nodes with their default settings. */
  async load(count: number): Promise<void> {
    await this.#create(count);
    const { seconds } = await this.#evacuate('reread', 'server1', count);
    console.log(`${count} migrations in flight at once: none failed, ${seconds.toFixed(1)} s; memory at its peak:`);
    for (const line of await workersMemory()) console.log(`  ${line}`);
    await this.#clear();
  }

  async planning(): Promise<void> {
    await this.#registry.rows(
      noColumns,
      `INSERT INTO volumes (id, tenant_id, size_gib, status, host, availability_zone)
       SELECT gen_random_uuid(), 'bench', 1, 'available', $1, 'zone1' FROM generate_series(1, $2)`,
      [first, planned],
    );
    const start = performance.now();
    const plan = await readEvacuationPlan(this.#registry, { source: 'server1', to: [], order: 'largest' });
    console.log(`a plan of ${plan.moves.length} volumes: ${((performance.now() - start) / 1000).toFixed(2)} s`);
    await this.#registry.rows(noColumns, 'DELETE FROM volumes');
  }

  async #create(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => randomUUID());
    for (let at = 0; at < count; at += 20) {
      await Promise.all(
        ids.slice(at, at + 20).map((volumeId) =>
          this.#client.workflow.execute('createVolume', {
            taskQueue: controlQueue,
            workflowId: operationWorkflowId('create', volumeId),
            args: [{ volumeId, tenantId: 'bench', sizeGib: 1, backEnd: first }],
          }),
        ),
      );
    }
    return ids;
  }

  /** Copies every file as Cinder's LVM driver would; what was made is deleted. Seconds. */
  async #dd(volumes: string, parallel: number): Promise<number> {
    const to = join(this.#system.directory, 'dd');
    await execa('mkdir', ['-p', to]);
    const names = await readdir(volumes);
    const start = performance.now();
    const copy = ['dd', `if=${volumes}/{}`, `of=${to}/{}`, 'bs=1M', 'iflag=direct', 'oflag=direct', 'conv=fsync'];
    await execa('xargs', ['-P', String(parallel), '-I', '{}', ...copy], { input: names.join('\n') });
    const seconds = (performance.now() - start) / 1000;
    await rm(to, { recursive: true });
    return seconds;
  }

  async #evacuate(
    verify: 'none' | 'reread',
    source: 'server1' | 'server2',
    total = atOnce,
  ): Promise<{ seconds: number; runs: number; events: number }> {
    const start = performance.now();
    const workflowId = evacuationWorkflowId(source);
    const limits = { total, perSourceNode: total, perDestinationNode: total };
    const handle = await this.#client.workflow.start<(input: unknown) => Promise<MovesReport>>('evacuateHost', {
      taskQueue: controlQueue,
      workflowId,
      args: [{ source, verify, limits }],
    });
    const report = await handle.result();
    if (report.outcome !== 'emptied') throw new Error(`the evacuation ended with: ${report.outcome}`);
    const seconds = (performance.now() - start) / 1000;
    await setDisabled(this.#registry, source, false);
    // Every run of the chain, by the first one's id.
    let [runs, events] = [0, 0];
    for (let runId: string | undefined = handle.firstExecutionRunId; runId !== undefined; runs += 1) {
      const history = await this.#client.workflow.getHandle(workflowId, runId).fetchHistory();
      events += history.events?.length ?? 0;
      runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
    }
    return { seconds, runs, events };
  }

  async #clear(): Promise<void> {
    for (const [host, node] of [
      [first, 'server1/files-1'],
      [second, 'server2/files-2'],
    ] as const) {
      await this.#registry.rows(noColumns, 'DELETE FROM volumes WHERE host = $1', [host]);
      for (const folder of ['volumes', 'tags'])
        await rm(join(this.#system.directory, 'nodes', node, folder), { recursive: true, force: true });
    }
  }
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
