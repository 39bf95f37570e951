import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import pg from 'pg';
import { createDirectoryDriver } from '../../activities/storage/directory/directory-driver.ts';
import { reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { holdSwitch } from './hold-switch.ts';
import { poll, server1, server2, setStage, slowly, type Stage } from './stage.ts';

const mib = 1024 ** 2;

let stage: Stage;
before(async () => {
  const group = (name: string) => ({ name, sizeMib: 24 * 1024 });
  const nodes = [
    { name: 'server1', volumeGroups: [group('lvmstorage-1'), group('near')] },
    { name: 'server2', volumeGroups: [group('lvmstorage-2')] },
  ];
  stage = await setStage({ backing: 'directory', nodes });
  // The tests look when they want to; that the schedule looks by itself is a test of its own.
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

async function repair(...args: string[]): Promise<RepairReport> {
  const { exitCode, stdout, stderr } = await stage.ferry('repair', '--json', ...args);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as RepairReport;
}

/** What the repair says of the volume's migration. */
async function repaired(volumeId: string): Promise<[direction: string, state: string] | undefined> {
  const found = (await repair()).migrations.find((m) => m.volumeId === volumeId);
  return found && [found.direction, found.state];
}

const worker = (name: string) => stage.storage[name]!;

/** Holds the volume's row, so that nothing is written to it before the release. */
async function holdRow(volumeId: string): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: stage.postgres.url });
  await client.connect();
  await client.query('BEGIN');
  await client.query('SELECT FROM volumes WHERE id = $1 FOR UPDATE', [volumeId]);
  return {
    async release() {
      await client.query('ROLLBACK');
      await client.end();
    },
  };
}

async function recordedPhase(volumeId: string): Promise<string> {
  const client = new pg.Client({ connectionString: stage.postgres.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ phase: string }>(
      'SELECT phase FROM migrations WHERE volume_id = $1 ORDER BY epoch DESC LIMIT 1',
      [volumeId],
    );
    return rows[0]!.phase;
  } finally {
    await client.end();
  }
}

describe('a migration is terminated, then repaired', () => {
  const terminate = (handle: WorkflowHandle) => handle.terminate('an operator was in a hurry');

  test('while it prepares: back', async () => {
    const { id, contents } = await stage.volume();
    await worker('server2').signal('SIGSTOP');
    const handle = await stage.migrate(id);
    await stage.untilPhase(handle, 'preparing');
    await terminate(handle);
    await worker('server2').signal('SIGCONT');
    assert.deepEqual(await repaired(id), ['back', 'repaired']);
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'error' });
  });

  test('while it copies: back, and a dry run before tells so and does nothing', async () => {
    const { id, handle, old } = await stage.midCopy();
    await terminate(handle);
    const looked = (await repair('--dry-run', '--volume', id)).migrations;
    assert.deepEqual(
      looked.map(({ volumeId, direction, state }) => ({ volumeId, direction, state })),
      [{ volumeId: id, direction: 'back', state: 'none' }],
    );
    assert.match((await stage.ferry('repair', '--dry-run')).stdout, /migrating \(copying\) .*back .*would be repaired/);
    assert.equal((await stage.ferry('show', id)).stdout.includes('migrating'), true);
    assert.deepEqual(await repaired(id), ['back', 'repaired']);
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
    assert.deepEqual((await repair()).migrations, []);
  });

  test('while it verifies: back', async () => {
    const { id, contents } = await stage.volume();
    // Within a node a copy is proven when it is whole.
    const request = { destination: 'server1@near', keepSourceSeconds: 3600, bandwidth: slowly };
    const handle = await stage.migrate(id, request);
    await stage.untilPhase(handle, 'verifying');
    await terminate(handle);
    assert.deepEqual(await repaired(id), ['back', 'repaired']);
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'error' });
  });

  test('while it switches, and the switch is committed after its end: forward', async () => {
    const { id, contents } = await stage.volume();
    const handle = await stage.migrate(id, { bandwidth: slowly });
    // The next that is written to the registry is the switch.
    await poll(async () => (await recordedPhase(id)) === 'copying');
    const row = await holdRow(id);
    await stage.hurry(handle);
    await stage.untilPhase(handle, 'switching');
    await poll(async () =>
      ((await handle.describe()).raw.pendingActivities ?? []).some((a) => a.activityType?.name === 'switchVolume'),
    );
    await terminate(handle);
    await row.release();
    await poll(async () => (await recordedPhase(id)) === 'cleaning-up');
    assert.deepEqual(await repaired(id), ['forward', 'repaired']);
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
  });

  test('while it cleans up: forward', async () => {
    const { id, handle, moved } = await stage.midCopy({ bandwidth: 4 * slowly });
    const release = await holdSwitch(stage, id, handle);
    await worker('server1').signal('SIGSTOP');
    await release();
    await stage.untilPhase(handle, 'cleaning-up');
    await poll(async () => (await recordedPhase(id)) === 'cleaning-up');
    await terminate(handle);
    await worker('server1').signal('SIGCONT');
    assert.deepEqual(await repaired(id), ['forward', 'repaired']);
    await stage.checker.assertAt(id, moved);
  });

  test('while it goes back: back', async () => {
    const { id, handle, old } = await stage.midCopy();
    await worker('server2').signal('SIGSTOP');
    await handle.executeUpdate('cancelMigration');
    await stage.untilPhase(handle, 'undoing');
    await terminate(handle);
    await worker('server2').signal('SIGCONT');
    assert.deepEqual(await repaired(id), ['back', 'repaired']);
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('with the destination down: the volume is free at once, the rest waits for the node', async () => {
    const { id, handle, old } = await stage.midCopy();
    await worker('server2').signal('SIGKILL');
    await terminate(handle);
    const found = (await repair('--volume', id)).migrations[0];
    assert.deepEqual([found?.direction, found?.state], ['back', 'repaired']);
    assert.match(found?.note ?? '', /server2/);
    await worker('server2').start();
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });
});

test('a migration that runs is not repaired', async () => {
  const { id, handle, moved } = await stage.midCopy();
  assert.deepEqual((await repair()).migrations, []);
  await stage.hurry(handle);
  assert.equal(await stage.outcome(handle), 'success');
  await stage.checker.assertAt(id, moved);
});

test('the schedule repairs by itself', async () => {
  const { id, handle, old } = await stage.midCopy();
  await handle.terminate();
  await stage.client.schedule.getHandle(reconcileSchedule).unpause();
  await stage.client.schedule.getHandle(reconcileSchedule).trigger();
  await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});

test('what a migration left is told, and removed only after the grace time; what is not tagged stays', async () => {
  const { id, handle, old } = await stage.midCopy();
  const [node, group, name] = await stage.destinationOf(handle);
  const path = join(stage.directory, 'nodes', node, group);
  const driver = createDirectoryDriver({ path });
  const migrationId = (await handle.describe()).runId;
  await handle.executeUpdate('cancelMigration');
  await stage.outcome(handle);
  await stage.checker.assertAt(id, { ...old, outcome: 'cancelled' });
  const make = (device: string, ...tags: string[]) =>
    driver.create({ name: device, sizeBytes: mib, tags, zero: false });
  await make(name, `ferry.volume=${id}`, `ferry.migration=${migrationId}`);
  const lost = '11111111-1111-4111-8111-111111111111';
  const strangers = ['somebody-elses', `volume-${lost}`];
  await writeFile(join(path, 'volumes', strangers[0]!), 'not of Ferry');
  const leftover = async (...args: string[]) => {
    const { orphans } = await repair(...args);
    assert.deepEqual(
      orphans.map((o) => o.name),
      [name],
    );
    return orphans[0]!;
  };

  const told = await leftover();
  assert.equal(told.removed, false);
  assert.ok(Date.parse(told.removableFrom!) > Date.now());

  // It may be all that is left of a volume that the registry has lost: until that is decided nothing goes from there.
  await make(strangers[1]!, `ferry.volume=${lost}`);
  const { volumes } = await repair();
  assert.deepEqual(
    volumes.map(({ volumeId, direction }) => [volumeId, direction]),
    [[lost, 'ask']],
  );
  assert.equal((await leftover('--orphan-grace', '0')).removed, false);
  await rm(join(path, 'volumes', strangers[1]!));

  assert.equal((await leftover('--orphan-grace', '0')).removed, true);
  const left = (await stage.sight.devices()).map(({ place: [, , device] }) => device);
  assert.equal(left.includes(name), false);
  assert.ok(left.includes(strangers[0]!));
});
