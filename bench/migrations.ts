import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { VerifyMode } from '../model/migration.ts';
import { controlQueue, deviceName, migrationWorkflowId, operationWorkflowId } from '../model/names.ts';
import { startSystem } from '../testbed/system.ts';
import type { BenchOptions } from './run.ts';

const mib = 1024 ** 2;
const atOnce = 10;
const back = { '1': 'server1@files-1', '2': 'server2@files-2' } as const;

/**
 * Whole migrations of 1 GiB volumes between two directory back ends of this machine: the overhead (an empty volume, warm), the length of
 * the history, what it costs to verify at both ends, and ten volumes of random bytes at once beside one alone.
 */
export async function run({ rounds }: BenchOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'ferry-bench-'));
  const node = (name: string, group: string) => ({ name, volumeGroups: [{ name: group, sizeMib: 64 * 1024 }] });
  const system = await startSystem({
    directory,
    backing: 'directory',
    nodes: [node('server1', 'files-1'), node('server2', 'files-2')],
  });
  try {
    const connection = await Connection.connect({ address: system.temporal.address });
    const client = new Client({ connection });
    try {
      await emptyVolume(client, rounds);
      await verifiedWays(client, rounds, join(directory, 'nodes/server1/files-1/volumes'));
      await manyAtOnce(client, join(directory, 'nodes/server1/files-1/volumes'));
    } finally {
      await connection.close();
    }
  } finally {
    await system.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a migration leaves running is done after so long: it is not the next one's time. Milliseconds. */
const settleMs = 1500;

async function emptyVolume(client: Client, rounds: number): Promise<void> {
  const id = await createVolume(client);
  await migrate(client, id, back[2]); // warm: the first one pays for starting things
  const times: number[] = [];
  let events = 0;
  for (let round = 0; round < rounds * 2; round += 1) {
    await sleep(settleMs);
    const done = await migrate(client, id, round % 2 === 0 ? back[1] : back[2]);
    times.push(done.seconds);
    events = Math.max(events, done.events);
  }
  console.log(
    `an empty 1 GiB volume, verify both, warm: median ${median(times).toFixed(2)} s of ${times.length}; longest history ${events} events`,
  );
}

async function verifiedWays(client: Client, rounds: number, volumes: string): Promise<void> {
  const id = await createVolume(client);
  await fill(volumes, id);
  const ways = ['none', 'reread', 'both'] as const;
  const times = new Map<string, number[]>(ways.map((verify) => [verify, []]));
  for (let round = 0; round < rounds; round += 1)
    for (const verify of ways) {
      await sleep(settleMs);
      const { seconds } = await migrate(client, id, back[2], verify);
      times.get(verify)!.push(seconds);
      await sleep(settleMs);
      await migrate(client, id, back[1], 'none');
    }
  const each = ways.map((verify) => `${verify} ${median(times.get(verify)!).toFixed(2)} s`);
  console.log(`a random 1 GiB volume, by its verification: ${each.join(', ')} (medians of ${rounds})`);
}

async function manyAtOnce(client: Client, volumes: string): Promise<void> {
  const ids = await Promise.all(Array.from({ length: atOnce }, () => createVolume(client)));
  for (const id of ids) await fill(volumes, id);
  const start = performance.now();
  const each = await Promise.all(ids.map((id) => migrate(client, id, back[2])));
  const all = (performance.now() - start) / 1000;
  const one = await migrate(client, ids[0]!, back[1]);
  console.log(
    `${atOnce} random 1 GiB volumes at once: ${all.toFixed(1)} s (${((atOnce * 1024) / all).toFixed(0)} MiB/s), each median ${median(each.map((m) => m.seconds)).toFixed(1)} s; ` +
      `one alone ${one.seconds.toFixed(1)} s: ${((one.seconds * atOnce) / all).toFixed(2)} times as fast as one after another`,
  );
}

async function fill(volumes: string, id: string): Promise<void> {
  await using file = await open(join(volumes, deviceName({ id, nameId: null })), 'r+');
  for (let at = 0; at < 1024; at += 64) await file.write(randomBytes(64 * mib), 0, 64 * mib, at * mib);
  await file.sync();
}

async function createVolume(client: Client): Promise<string> {
  const volumeId = randomUUID();
  await client.workflow.execute('createVolume', {
    taskQueue: controlQueue,
    workflowId: operationWorkflowId('create', volumeId),
    args: [{ volumeId, tenantId: 'bench', sizeBytes: 1024 ** 3, backEnd: back[1] }],
  });
  return volumeId;
}

async function migrate(
  client: Client,
  volumeId: string,
  destination: string,
  verify: VerifyMode | null = null,
): Promise<{ seconds: number; events: number }> {
  const start = performance.now();
  const handle = await client.workflow.start('migrateVolume', {
    taskQueue: controlQueue,
    workflowId: migrationWorkflowId(volumeId),
    args: [{ volumeId, destination, verify }],
  });
  await handle.result();
  const seconds = (performance.now() - start) / 1000;
  const { events } = await handle.fetchHistory();
  return { seconds, events: events?.length ?? 0 };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
