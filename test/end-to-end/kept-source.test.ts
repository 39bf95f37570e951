import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DecommissionReport } from '../../model/evacuation.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { keptSourceWorkflowId, reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const second = 'server1@second';
const nodes = [
  {
    name: 'server1',
    volumeGroups: [
      { name: 'lvmstorage-1', sizeMib: 48 * 1024 },
      { name: 'second', sizeMib: 48 * 1024 },
    ],
  },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib: 48 * 1024 }] },
];

describe('a source that is kept', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage({ backing: 'directory', nodes, nodeTimeoutSeconds: 60 });
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
  });
  after(() => stage?.strike());
  const { ferry, refused } = stageCli(() => stage);

  const record = (id: string) => ferry<MigrationRecord>('migration', 'show', id);
  const migrate = (id: string, host: string, ...options: string[]) => ferry('migrate', id, host, ...options);
  const kept = ['--keep-source', '1d'];
  const nameId = async (id: string) => (await ferry('show', id))['os-vol-mig-status-attr:name_id'];
  const orphans = async (id: string) =>
    (await ferry<RepairReport>('repair', '--volume', id, '--orphan-grace', '0')).orphans;
  const succeeded = { outcome: 'success' } as const;

  test('is shown, is no orphan, and is what the volume goes back to, under its old name', async () => {
    const { id, contents } = await stage.volume();
    await migrate(id, server2, ...kept);
    await stage.checker.assertAt(id, { host: server2, contents, ...succeeded, kept: [server1] });
    assert.deepEqual(await orphans(id), []);
    const moved = await record(id);
    assert.ok(moved.keptUntil && Date.parse(String(moved.keptUntil)) > Date.now());
    assert.match((await stage.ferry('host', 'list', '--long')).stdout, /server1@lvmstorage-1 .* 1 \(1.0 GiB\)/);
    assert.match((await stage.ferry('migration', 'list', '--kept')).stdout, new RegExp(id));
    const timer = await stage.client.workflow.getHandle(keptSourceWorkflowId(moved.id)).describe();
    assert.equal(timer.status.name, 'RUNNING');
    assert.equal((await ferry<{ allowed: boolean }>('migration', 'undo', id, '--dry-run')).allowed, true);

    const undone = await ferry<MigrationRecord>('migration', 'undo', id).catch(() => record(id));
    assert.deepEqual([undone.flow, undone.undoes, undone.outcome], ['undo', moved.id, 'success']);
    await stage.checker.assertAt(id, { host: server1, contents, ...succeeded });
    assert.equal(await nameId(id), null);
    assert.equal((await refused('migration', 'undo', id)).type, 'SourceNotKept');
  });

  test('is not gone back to once the volume has been written, but still kept; and removed when that is wanted', async () => {
    const { id, contents } = await stage.volume();
    await migrate(id, server2, ...kept);
    await ferry('attach', id, 'vm-1', 'hv1');
    assert.match((await refused('migration', 'undo', id)).message, /detach it first/);
    const written = await stage.checker.fill(id, 1);
    await ferry('detach', id);
    assert.notEqual(written, contents);
    const refusal = await refused('migration', 'undo', id);
    assert.equal(refusal.type, 'VolumeWrittenSince');
    assert.match(refusal.message, /has been written since migration/);
    await stage.checker.assertAt(id, { host: server2, contents: written, outcome: 'error', kept: [server1] });
    await ferry('migration', 'discard', id);
    await stage.checker.assertAt(id, { host: server2, contents: written, outcome: 'error' });
    assert.equal((await refused('migration', 'discard', id)).type, 'SourceNotKept');
  });

  test('is removed when its time is over, also when its workflow was terminated before', async () => {
    const { id, contents } = await stage.volume();
    await migrate(id, server2, '--keep-source', '8s');
    const { id: migrationId } = await record(id);
    await stage.client.workflow.getHandle(keptSourceWorkflowId(migrationId)).terminate();
    const { keptSources } = await ferry<RepairReport>('repair', '--volume', id);
    assert.deepEqual(
      keptSources.map((k) => [k.migrationId, k.state]),
      [[migrationId, 'repaired']],
    );
    assert.deepEqual((await ferry<RepairReport>('repair', '--volume', id)).keptSources, []);
    await stage.checker.assertAt(id, { host: server2, contents, ...succeeded });
  });

  test('goes with its volume, also when its node is away at that moment', async () => {
    const { id } = await stage.volume();
    await migrate(id, server2, ...kept);
    const { id: migrationId } = await record(id);
    await stage.storage['server1']!.signal('SIGKILL');
    await ferry('delete', id);
    await stage.storage['server1']!.start();
    await poll(async () => (await stage.sight.devices()).every(({ tags }) => !tags.includes(`ferry.volume=${id}`)));
    // The record goes a moment after the device.
    const ending = stage.client.workflow.getHandle(keptSourceWorkflowId(migrationId));
    await poll(async () => (await ending.describe()).status.name !== 'RUNNING');
    assert.equal((await refused('migration', 'discard', id)).type, 'SourceNotKept');
  });

  test('goes when its volume is forgotten, whose own device stays', async () => {
    const { id } = await stage.volume();
    await migrate(id, server2, ...kept);
    const { deviceName } = await ferry<{ deviceName: string }>('unmanage', id);
    await poll(async () => (await stage.sight.devices()).every(({ tags }) => !tags.includes(`ferry.volume=${id}`)));
    assert.ok((await stage.sight.devices()).some(({ place: [, , device] }) => device === deviceName));
  });

  test('is a file of its own where a move would only give the volume a second name, and is not in the way of a move back', async () => {
    const { id, contents } = await stage.volume();
    const file = (group: string, name = id) =>
      join(stage.directory, 'nodes', 'server1', group, 'volumes', `volume-${name}`);
    await migrate(id, second, ...kept);
    const [left, current] = [await stat(file('lvmstorage-1')), await stat(file('second'))];
    assert.notEqual(left.ino, current.ino);
    assert.equal((await record(id)).flow, 'assisted');
    const plan = await ferry<{ flow: string }>('migrate', id, server1, '--dry-run');
    assert.equal(plan.flow, 'generic-detached');
    await migrate(id, server1, ...kept);
    // One of each move; only that of the last can be gone back to.
    await stage.checker.assertAt(id, { host: server1, contents, ...succeeded, kept: [server1, second] });
    assert.equal((await stat(file('lvmstorage-1'))).ino, left.ino);
    await ferry('migration', 'undo', id);
    await stage.checker.assertAt(id, { host: second, contents, ...succeeded, kept: [server1] });
    assert.equal((await stat(file('second'))).ino, current.ino);
    assert.deepEqual(await orphans(id), []);
    await ferry('migration', 'discard', id);
    await stage.checker.assertAt(id, { host: second, contents, ...succeeded });
    await ferry('delete', id);
  });

  test('of an evacuated node stands against its decommissioning until it is removed', async () => {
    const host = ['host', 'evacuate', 'server1', '--keep-source', '1d', '--to', server2];
    const { id } = await stage.volume();
    const { exitCode, stderr } = await stage.ferry(...host, '--json');
    assert.equal(exitCode, 0, stderr);
    const decommission = await stage.ferry('host', 'decommission', 'server1', '--json');
    const report = JSON.parse(decommission.stdout.trim().split('\n').at(-1)!) as DecommissionReport;
    assert.equal(report.decommissioned, false);
    assert.ok(
      report.left.some((line) => line.includes(`ferry migration discard ${id}`)),
      JSON.stringify(report.left),
    );
    // The source of an evacuation is disabled: the way back is open all the same.
    assert.equal((await ferry<{ allowed: boolean }>('migration', 'undo', id, '--dry-run')).allowed, true);
    for (const { volumeId } of await ferry<{ volumeId: string }[]>('migration', 'list', '--kept', '--host', server1))
      await ferry('migration', 'discard', volumeId);
    assert.deepEqual(
      (await stage.sight.devices()).filter(({ place: [node] }) => node === 'server1'),
      [],
    );
  });
});
