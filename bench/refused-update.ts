import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client,
  Connection,
  WithStartWorkflowOperation,
  WorkflowUpdateFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { messages } from '../model/messages.ts';
import type { MigrationState } from '../model/migration.ts';
import { controlQueue, deviceName, migrationWorkflowId, operationWorkflowId } from '../model/names.ts';
import { startSystem } from '../testbed/system.ts';

const migrations = 10;
const perMeasurement = 300;
const mib = 1024 ** 2;
/** So slow that all migrations run from the first measurement to the last. Bytes a second. */
const crawling = 64 * 1024;

/** How long a service waits for its refusal while ten migrations run, beside what Temporal takes to describe a workflow. Prints a table. */
export async function run(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'ferry-bench-'));
  try {
    const node = (name: string, group: string) => ({ name, volumeGroups: [{ name: group, sizeMib: 64 * 1024 }] });
    const system = await startSystem({
      directory,
      backing: 'directory',
      nodes: [node('server1', 'files-1'), node('server2', 'files-2')],
    });
    try {
      const connection = await Connection.connect({ address: system.temporal.address });
      try {
        await measureAll(new Client({ connection }), join(directory, 'nodes/server1/files-1/volumes'));
      } finally {
        await connection.close();
      }
    } finally {
      await system.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measureAll(client: Client, volumes: string): Promise<void> {
  const handles: WorkflowHandle[] = [];
  console.log(`refused updates, ${perMeasurement} each, milliseconds (median, 95 %, slowest):`);
  handles.push(await startMigration(client, volumes));
  const describing = await measure(handles, (handle) => handle.describe());
  print('describe a workflow', describing, describing);
  print('refused update, one migration runs', await measure(handles, refusedUpdate), describing);
  while (handles.length < migrations) handles.push(await startMigration(client, volumes));
  const idle = await measure(handles, (handle) => handle.describe());
  print(`describe a workflow, ${migrations} migrations run`, idle, idle);
  print(`refused update, ${migrations} migrations run`, await measure(handles, refusedUpdate), idle);
}

async function startMigration(client: Client, volumes: string): Promise<WorkflowHandle> {
  const volumeId = randomUUID();
  await client.workflow.execute('createVolume', {
    taskQueue: controlQueue,
    workflowId: operationWorkflowId('create', volumeId),
    args: [{ volumeId, tenantId: 'bench', sizeBytes: 1024 ** 3, backEnd: 'server1@files-1' }],
  });
  await using file = await open(join(volumes, deviceName({ id: volumeId, nameId: null })), 'r+');
  await file.write(randomBytes(32 * mib), 0, 32 * mib, 0);
  const startWorkflowOperation = new WithStartWorkflowOperation('migrateVolume', {
    taskQueue: controlQueue,
    workflowId: migrationWorkflowId(volumeId),
    workflowIdConflictPolicy: 'FAIL',
    args: [{ volumeId, destination: 'server2@files-2', bandwidth: crawling }],
  });
  await client.workflow.executeUpdateWithStart(messages.awaitClaim, { startWorkflowOperation, args: [] });
  const handle = await startWorkflowOperation.workflowHandle();
  while ((await handle.query<MigrationState>(messages.migrationState)).phase !== 'copying')
    await new Promise((resolve) => setTimeout(resolve, 50));
  return handle;
}

async function refusedUpdate(handle: WorkflowHandle): Promise<void> {
  const volumeId = handle.workflowId.slice(migrationWorkflowId('').length);
  const ticket = { requestId: randomUUID(), operation: 'attach', volumeId, requestedBy: 'bench' };
  try {
    await handle.executeUpdate<unknown, [unknown]>(messages.requestOperation, { args: [ticket] });
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) return;
    throw error;
  }
  throw new Error('a volume that moves was not refused');
}

/** The times of single requests, one after the other, to the migrations in turn; sorted. */
async function measure(
  handles: readonly WorkflowHandle[],
  ask: (handle: WorkflowHandle) => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < perMeasurement; i += 1) {
    const began = performance.now();
    await ask(handles[i % handles.length]!);
    times.push(performance.now() - began);
  }
  return times.toSorted((a, b) => a - b);
}

function print(name: string, times: readonly number[], beside: readonly number[]): void {
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  const ratio = at(0.5) / beside[Math.floor(beside.length / 2)]!;
  const figures = [0.5, 0.95, 1].map((share) => at(share).toFixed(1).padStart(8)).join('');
  console.log(`  ${name.padEnd(44)}${figures}   ${ratio.toFixed(1)} times a description`);
}
