import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { MigrationRecord } from '../../model/migration.ts';
import { messages } from '../../model/messages.ts';
import { poll, server1, setStage, slowly, type NodeStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const second = 'server1@second';
const nodes = [
  {
    name: 'server1',
    volumeGroups: [
      { name: 'lvmstorage-1', sizeMib: 12 * 1024 },
      { name: 'second', sizeMib: 12 * 1024 },
    ],
  },
];

describe('between two volume groups of one node, the node moves the volume itself', () => {
  let stage: NodeStage;
  before(async () => {
    stage = await setStage({ nodes, nodeTimeoutSeconds: 60 });
  });
  after(() => stage?.strike());
  const { ferry } = stageCli(() => stage);

  const record = (id: string) => ferry<MigrationRecord>('migration', 'show', id);
  const nameId = async (id: string) => (await ferry('show', id))['os-vol-mig-status-attr:name_id'];

  async function midCopy() {
    const { id, contents } = await stage.volume();
    const handle = await stage.migrate(id, { destination: second, bandwidth: slowly });
    await stage.untilCopied(handle, 8 * 1024 ** 2);
    return { id, handle, old: { host: server1, contents }, moved: { host: second, contents, outcome: 'success' } };
  }

  test('there; and back from host to host when that is wanted', async () => {
    const { id, contents } = await stage.volume();
    const plan = await ferry<{ flow: string }>('migrate', id, second, '--dry-run');
    assert.equal(plan.flow, 'assisted');
    await ferry('migrate', id, second);
    await stage.checker.assertAt(id, { host: second, contents, outcome: 'success' });
    const { flow, digest } = await record(id);
    assert.equal(flow, 'assisted');
    assert.ok(digest);
    assert.equal(await nameId(id), null);
    await ferry('migrate', id, server1, '--force-host-copy');
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'success' });
    assert.equal((await record(id)).flow, 'generic-detached');
    assert.notEqual(await nameId(id), null);
  });

  test('its source stays as a logical volume with a tag when it is kept, and is the volume again', async () => {
    const { id, contents } = await stage.volume();
    await ferry('migrate', id, second, '--keep-source', '1d');
    await stage.checker.assertAt(id, { host: second, contents, outcome: 'success', kept: [server1] });
    await ferry('migration', 'undo', id);
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'success' });
    assert.equal((await record(id)).flow, 'undo');
  });

  test('a cancel in mid-copy goes back', async () => {
    const { id, handle, old } = await midCopy();
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { ...old, outcome: 'cancelled' });
  });

  test('its worker is killed in mid-copy: it goes on where it was', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.storage['server1']!.signal('SIGKILL');
    await stage.storage['server1']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('terminated in mid-copy, it is taken back by the repair', async () => {
    const { id, handle, old } = await midCopy();
    await handle.terminate();
    await poll(async () => (await stage.ferry('repair')).exitCode === 0);
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });
});

describe('between two directories of one file system the bytes are not even copied', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage({ backing: 'directory', nodes });
  });
  after(() => stage?.strike());
  const { ferry } = stageCli(() => stage);

  test('the file gets a second name, and loses its first one after the switch', async () => {
    const { id, contents } = await stage.volume();
    const file = (group: string) => join(stage.directory, 'nodes', 'server1', group, 'volumes', `volume-${id}`);
    const { ino } = await stat(file('lvmstorage-1'));
    await ferry('migrate', id, second);
    await stage.checker.assertAt(id, { host: second, contents, outcome: 'success' });
    const moved = await stat(file('second'));
    assert.deepEqual([moved.ino, moved.nlink], [ino, 1]);
    const { flow, transferredBytes } = await ferry<MigrationRecord>('migration', 'show', id);
    assert.deepEqual([flow, transferredBytes], ['assisted', 0]);
  });

  test('a cancel before the switch leaves the first name alone', async () => {
    const { id, contents } = await stage.volume();
    await stage.storage['server1']!.signal('SIGSTOP');
    const handle = await stage.migrate(id, { destination: second });
    await handle.executeUpdate(messages.cancelMigration);
    await stage.storage['server1']!.signal('SIGCONT');
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'cancelled' });
  });
});
