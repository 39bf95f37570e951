import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import pg from 'pg';
import { operationWorkflowId, reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { gib } from '../../model/sizes.ts';
import { poll, server1, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory' });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

const { ferry, create, status } = stageCli(() => stage);
const node = () => stage.storage['server1']!;
const devicesOf = async (id: string) =>
  (await stage.sight.devices()).filter(({ place, tags }) => `${place[2]} ${tags.join(' ')}`.includes(id));

const atNode = /Device$|Stranger$|^exportVolume$|^removeExport$/;

/** Waits until the workflow is at such a step. */
async function untilAt(handle: WorkflowHandle, step: RegExp): Promise<void> {
  await poll(async () => {
    const { raw } = await handle.describe();
    return (raw.pendingActivities ?? []).some((a) => step.test(a.activityType?.name ?? ''));
  });
}

/** Lets nobody write to a volume's row until it is released. */
async function holdVolumes(): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: stage.postgres.url });
  await client.connect();
  await client.query('BEGIN; LOCK TABLE volumes IN EXCLUSIVE MODE');
  return {
    async release() {
      await client.query('ROLLBACK');
      await client.end();
    },
  };
}

/** Begins the operation while its storage node hangs, terminates it there, and lets the repair do its work. */
async function terminated(operation: string, subject: () => Promise<string>, ...args: string[]): Promise<string> {
  await node().signal('SIGSTOP');
  const command = stage.ferry(...args);
  const id = await subject();
  const handle = stage.client.workflow.getHandle(operationWorkflowId(operation, id));
  await poll(async () => {
    try {
      return (await handle.describe()).status.name === 'RUNNING';
    } catch {
      return false; // Not started yet.
    }
  });
  await untilAt(handle, atNode);
  await handle.terminate('an operator was in a hurry');
  assert.notEqual((await command).exitCode, 0);
  await node().signal('SIGCONT');
  return id;
}

async function repaired(volumeId: string): Promise<string> {
  const { operations } = await ferry<RepairReport>('repair');
  return operations
    .filter((o) => o.volumeId === volumeId)
    .map(({ operation, state }) => `${operation} ${state}`)
    .join(', ');
}

describe('an operation is terminated, then repaired', () => {
  test('create: the volume is in error, and can be deleted', async () => {
    const newest = async () => {
      let id: string | undefined;
      await poll(async () => {
        const volumes = await ferry<{ id: string; status: string }[]>('list');
        id = volumes.find((volume) => volume.status === 'creating')?.id;
        return id !== undefined;
      });
      return id!;
    };
    const id = await terminated('create', newest, 'create', '--size', '1', '--host', server1);
    assert.equal(await repaired(id), 'create repaired');
    assert.equal(await status(id), 'error');
    await ferry('delete', id);
    assert.deepEqual(await devicesOf(id), []);
  });

  test('delete: it can be deleted again', async () => {
    const id = await create();
    await terminated('delete', async () => id, 'delete', id);
    assert.equal(await repaired(id), 'delete repaired');
    assert.equal(await status(id), 'error_deleting');
    await ferry('delete', id);
    assert.deepEqual(await devicesOf(id), []);
  });

  test('extend: the old bytes are whole', async () => {
    const { id, contents } = await stage.volume();
    await terminated('extend', async () => id, 'extend', id, '2');
    assert.equal(await repaired(id), 'extend repaired');
    assert.equal(await status(id), 'error_extending');
    await ferry('reset-state', id, '--state', 'available');
    // The node may have made it larger all the same: then the second extend finds that done.
    await ferry('extend', id, '2');
    assert.equal((await ferry<{ size: number }>('show', id)).size, 2);
    const [device] = await devicesOf(id);
    assert.equal(await stage.sight.digest(device!.place, 1), contents);
  });

  test('attach: the volume is free, and nobody reaches it', async () => {
    const { id, contents } = await stage.volume();
    await terminated('attach', async () => id, 'attach', id, 'vm-1', 'hv1');
    assert.equal(await repaired(id), 'attach repaired');
    assert.equal(await status(id), 'available');
    await poll(async () => (await stage.sight.exports()).length === 0);
    assert.equal(await stage.checker.contents(id), contents);
    await ferry('attach', id, 'vm-1', 'hv1');
    await ferry('detach', id);
  });

  test('detach: it is attached as before, and can be detached', async () => {
    const { id } = await stage.volume();
    await ferry('attach', id, 'vm-1', 'hv1');
    await terminated('detach', async () => id, 'detach', id);
    assert.equal(await repaired(id), 'detach repaired');
    assert.equal(await status(id), 'in-use');
    await ferry('detach', id);
    assert.equal(await status(id), 'available');
  });

  test('snapshot: the volume is free, the snapshot in error can be deleted', async () => {
    const { id, contents } = await stage.volume();
    await terminated('snapshot', async () => id, 'snapshot', 'create', id);
    assert.equal(await repaired(id), 'snapshot repaired');
    assert.equal(await status(id), 'available');
    const [snapshot] = await ferry<{ id: string; status: string }[]>('snapshot', 'list', '--volume', id);
    assert.equal(snapshot?.status, 'error');
    await ferry('snapshot', 'delete', snapshot.id);
    assert.equal((await devicesOf(id)).length, 1);
    assert.equal(await stage.checker.contents(id), contents);
  });

  test('manage, after the device was adopted: it is a volume, its bytes untouched', async () => {
    const file = join(stage.directory, 'nodes/server1/lvmstorage-1/volumes/precious');
    await writeFile(file, 'precious bytes');
    await truncate(file, gib);
    const contents = await stage.sight.digest(['server1', 'lvmstorage-1', 'precious']);
    const volumes = await holdVolumes();
    const command = stage.ferry('manage', server1, 'precious');
    const found: string[] = [];
    await poll(async () => {
      const query = "WorkflowType = 'manageVolume' AND ExecutionStatus = 'Running'";
      for await (const { workflowId } of stage.client.workflow.list({ query })) found.push(workflowId);
      return found.length > 0;
    });
    const handle = stage.client.workflow.getHandle(found[0]!);
    const id = found[0]!.slice('manage-'.length);
    await untilAt(handle, /^beginManage$/);
    await node().signal('SIGSTOP');
    await volumes.release();
    await untilAt(handle, /^adoptDevice$/);
    await stage.control.signal('SIGKILL');
    await node().signal('SIGCONT');
    await poll(async () => (await devicesOf(id)).length === 1);
    await handle.terminate('an operator was in a hurry');
    await stage.control.start();
    assert.notEqual((await command).exitCode, 0);
    assert.equal(await repaired(id), 'manage repaired');
    assert.equal(await status(id), 'available');
    assert.equal(await stage.checker.contents(id), contents);
    // Whoever wants it back as it was says so.
    await ferry('unmanage', id);
    const [left] = await ferry<{ name: string; obstacle: string | null }[]>('discover', server1);
    assert.equal(left?.obstacle, null);
    assert.equal(await stage.sight.digest(['server1', 'lvmstorage-1', left.name]), contents);
  });
});
