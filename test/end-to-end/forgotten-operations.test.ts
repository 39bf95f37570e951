import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { operationWorkflowId, reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { forgetEnds, forgetHistory } from './forget-ends.ts';
import { backUpRegistry } from './registry-backup.ts';
import { stageCli } from './stage-cli.ts';
import { server1, setStage, type Stage } from './stage.ts';

// Every kind of operation is caught at its last commit, which the registry has lost then; all have ended well, and what was written since
// was acknowledged.

interface Attached {
  attachment_id: string;
  connection: { host: string; port: number; exportName: string };
}

let stage: Stage;
const { ferry, refused, create, status } = stageCli(() => stage);
const repair = () => ferry<RepairReport>('repair', '--orphan-grace', '0');
const forget = (...commands: string[][]) => forgetEnds(stage, (args) => stage.ferry(...args, '--json'), commands);
const snapshotOf = async (id: string) => (await ferry<{ id: string }>('snapshot', 'create', id)).id;
const snapshots = async (id: string) =>
  (await ferry<{ id: string; status: string }[]>('snapshot', 'list', '--volume', id)).map((s) => `${s.id} ${s.status}`);

before(async () => {
  stage = await setStage({ backing: 'directory' });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

describe('what a registry has forgotten the end of', () => {
  const made = { id: '', contents: '' };
  const grown = { id: '', contents: '' };
  const kept = { id: '', snapshot: '' };
  const dropped = { id: '', snapshot: '' };
  const reverted = { id: '', contents: '' };
  const managed = { id: '', snapshot: '' };
  const attached = { id: '', attachment: '' };
  let detached = '';
  let deleted = '';
  let told: RepairReport;

  before(async () => {
    for (const each of [grown, kept, dropped, reverted, managed, attached]) each.id = await create();
    [detached, deleted] = [await create(), await create()];
    dropped.snapshot = await snapshotOf(dropped.id);
    await stage.checker.fill(reverted.id, 8);
    const wanted = await snapshotOf(reverted.id);
    await stage.checker.fill(reverted.id, 8);
    const known = await snapshotOf(managed.id);
    const { deviceName } = await ferry<{ deviceName: string }>('snapshot', 'unmanage', known);
    await ferry('attach', detached, 'vm-2', 'elsewhere');
    const { answers, backup } = await forget(
      ['create', '--size', '64MiB', '--host', server1],
      ['extend', grown.id, '96MiB'],
      ['snapshot', 'create', kept.id],
      ['snapshot', 'delete', dropped.snapshot],
      ['snapshot', 'revert', wanted],
      ['snapshot', 'manage', managed.id, deviceName],
      ['attach', attached.id, 'vm-1', 'elsewhere'],
      ['detach', detached],
      ['delete', deleted],
    );
    made.id = String(answers[0]!['id']);
    kept.snapshot = String(answers[2]!['id']);
    managed.snapshot = String(answers[5]!['id']);
    attached.attachment = (answers[6] as unknown as Attached).attachment_id;
    for (const each of [made, grown, reverted]) each.contents = await stage.checker.fill(each.id, 8);
    await backup.restore();
    await stage.untilUp();
    told = await repair();
    await repair();
  });

  test('all of it is told as ended well', () => {
    const ends = told.operations.map(({ operation, state }) => `${operation} ${state}`).toSorted();
    const all = [
      'attach',
      'create',
      'delete',
      'delete-snapshot',
      'detach',
      'extend',
      'manage-snapshot',
      'revert',
      'snapshot',
    ];
    assert.deepEqual(
      ends,
      all.map((operation) => `${operation} repaired`),
    );
    for (const { note } of told.operations) assert.match(note ?? '', /has ended well/);
  });

  test('a create: the volume is available, with what was written to it', async () => {
    assert.equal(await status(made.id), 'available');
    await stage.checker.assertAt(
      made.id,
      { host: server1, contents: made.contents, outcome: [null] },
      { settleMs: 10_000 },
    );
  });

  test('an extend: the volume has its new size and its bytes', async () => {
    const { size, status: now } = await ferry<{ size: string; status: string }>('show', grown.id);
    assert.deepEqual([now, size], ['available', '96MiB']);
    assert.equal(await stage.checker.contents(grown.id), grown.contents);
  });

  test('a revert: what was written since is not taken back, and nothing says that it should be', async () => {
    assert.equal(await status(reverted.id), 'available');
    assert.equal(await stage.checker.contents(reverted.id), reverted.contents);
    assert.match((await snapshots(reverted.id)).join(), /^\S+ available$/);
  });

  test('snapshots: made, managed and deleted ones are what they are', async () => {
    assert.deepEqual(await snapshots(kept.id), [`${kept.snapshot} available`]);
    assert.deepEqual(await snapshots(managed.id), [`${managed.snapshot} available`]);
    assert.deepEqual(await snapshots(dropped.id), []);
    for (const id of [kept.id, managed.id, dropped.id]) assert.equal(await status(id), 'available');
  });

  test('an attach: who has the volume keeps it; a detach: it is free', async () => {
    const { attachments } = await ferry<{ attachments: { attachment_id: string }[] }>('show', attached.id);
    assert.deepEqual(
      [await status(attached.id), attachments.map((a) => a.attachment_id)],
      ['in-use', [attached.attachment]],
    );
    assert.equal(await status(detached), 'available');
    assert.equal((await stage.ferry('attach', attached.id, 'vm-3', 'other')).exitCode === 0, false);
    await ferry('detach', attached.id);
  });

  test('a delete: it is gone', async () => {
    assert.notEqual((await stage.ferry('show', deleted)).exitCode, 0);
  });
});

test('a revert of which Temporal knows nothing any more: the device says that it is whole', async () => {
  const id = await create();
  const snapshot = await snapshotOf(id);
  const { backup } = await forget(['snapshot', 'revert', snapshot]);
  const contents = await stage.checker.fill(id, 8);
  await backup.restore();
  await stage.untilUp();
  await forgetHistory(stage.client, operationWorkflowId('revert', id));
  const [told] = (await repair()).operations;
  assert.match(told?.note ?? '', /its device is whole/);
  assert.equal(await status(id), 'available');
  assert.equal(await stage.checker.contents(id), contents);
});

test('a revert to a snapshot whose device is gone: the volume is as it was', async () => {
  const id = await create();
  const snapshot = await snapshotOf(id);
  const contents = await stage.checker.fill(id, 8);
  const backup = await backUpRegistry(stage);
  await stage.untilUp();
  await ferry('snapshot', 'delete', snapshot);
  await backup.restore();
  await stage.untilUp();
  assert.equal((await refused('snapshot', 'revert', snapshot)).type, 'DeviceMissing');
  assert.deepEqual([await status(id), await stage.checker.contents(id)], ['available', contents]);
});

test('a create of which Temporal knows nothing any more: its device says that it is whole', async () => {
  const { answers, backup } = await forget(['create', '--size', '64MiB', '--host', server1]);
  const id = String(answers[0]!['id']);
  const contents = await stage.checker.fill(id, 8);
  await backup.restore();
  await stage.untilUp();
  await forgetHistory(stage.client, operationWorkflowId('create', id));
  await repair();
  assert.deepEqual([await status(id), await stage.checker.contents(id)], ['available', contents]);
});
