import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import pg from 'pg';
import { migrationWorkflowId, reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { holdSwitch } from './hold-switch.ts';
import { backUpRegistry } from './registry-backup.ts';
import { stageCli } from './stage-cli.ts';
import { poll, server1, server2, setStage, slowly, type Stage } from './stage.ts';

const second = 'server2@second';
const sizeMib = 24 * 1024;
const nodes = [
  { name: 'server1', volumeGroups: [{ name: 'lvmstorage-1', sizeMib }] },
  {
    name: 'server2',
    volumeGroups: [
      { name: 'lvmstorage-2', sizeMib },
      { name: 'second', sizeMib },
    ],
  },
];

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory', nodes, volumeBytes: 96 * 1024 ** 2, nodeTimeoutSeconds: 120 });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
  // The back end's folders are made with its first volume.
  await stage.volume();
});
after(() => stage?.strike());
const { ferry, refused } = stageCli(() => stage);

const repair = () => ferry<RepairReport>('repair', '--orphan-grace', '0');
const killed = (node: 'server1' | 'server2') => stage.storage[node]!.signal('SIGKILL');

async function untilUp(node: 'server1' | 'server2'): Promise<void> {
  if (!stage.storage[node]!.isRunning()) await stage.storage[node]!.start();
  await poll(async () => {
    const list = await ferry<{ name: string; state: string }[]>('host', 'list');
    return list.filter(({ name }) => name.startsWith(node)).every(({ state }) => state === 'up');
  });
}

async function devicesOf(id: string) {
  return (await stage.sight.devices()).filter(({ tags }) => tags.includes(`ferry.volume=${id}`));
}

async function pendingIn(handle: WorkflowHandle) {
  const { raw } = await handle.describe();
  return (raw.pendingActivities ?? []).map(({ activityType }) => activityType?.name);
}

/** It switches while the node of its source is down, which is not retired so, and is written to where it is then: what it holds. */
async function endsWithoutItsSource(id: string, handle: WorkflowHandle): Promise<string> {
  const release = await holdSwitch(stage, id, handle);
  await killed('server1');
  await release();
  assert.equal(await stage.outcome(handle), 'success');
  return stage.checker.fill(id);
}

describe('a registry that has forgotten how something ended', () => {
  test('an undo: what the volume is on is not removed as the kept source that it was', async () => {
    const { id } = await stage.volume();
    assert.equal(await stage.attempt(id, { keepSourceSeconds: 45 }), 'success');
    const expires = Date.now() + 45_000;
    const backup = await backUpRegistry(stage);
    await stage.untilUp();
    // What the volume leaves stays for a while.
    const undoing = stage.ferry('migration', 'undo', id, '--json');
    const handle = stage.client.workflow.getHandle(migrationWorkflowId(id));
    await poll(async () => (await handle.describe()).status.name === 'RUNNING');
    const release = await holdSwitch(stage, id, handle, 'verifying');
    await killed('server2');
    await release();
    assert.equal((await undoing).exitCode, 0);
    const contents = await stage.checker.fill(id);
    await killed('server1');
    await backup.restore();
    await untilUp('server2');
    // Moves give the same generations again, and later ones.
    await repair();
    for (const destination of [second, server2]) assert.equal(await stage.attempt(id, { destination }), 'success');
    await untilUp('server1');
    const [told] = (await repair()).volumes;
    assert.match(told?.why ?? '', /on server1@lvmstorage-1 says too that it holds it \(generation 2\)/);
    assert.equal(await stage.attempt(id, { destination: second }), 'NeedsRepair');
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, expires + 10_000 - Date.now())));
    const left = (await devicesOf(id)).find(({ place }) => place[0] === 'server1');
    assert.ok(left, 'what was written last was removed');
    assert.equal(await stage.sight.digest(left.place), contents);
    await ferry('repair', '--volume', id, '--device', `${server1}/${left.place.at(-1)}`);
    assert.equal(await stage.checker.contents(id), contents);
  });

  test('a move to a node that is silent now: the source is not the volume again', async () => {
    const { id, contents: old } = await stage.volume();
    const handle = await stage.migrate(id, { bandwidth: slowly });
    await stage.untilCopied(handle);
    const backup = await backUpRegistry(stage);
    const contents = await endsWithoutItsSource(id, handle);
    assert.notEqual(contents, old);
    await killed('server2');
    await backup.restore();
    await untilUp('server1');
    const [told] = (await repair()).migrations;
    assert.equal(told?.direction, 'parked');
    assert.match(told.note ?? '', /By Temporal's history .* ended well.*ferry migration resolve \S+ source/);
    assert.notEqual((await stage.ferry('attach', id, 'vm-1', 'elsewhere')).exitCode, 0);
    await untilUp('server2');
    await repair();
    await stage.checker.assertAt(id, { host: server2, contents }, { settleMs: 10_000 });
  });

  test('a volume and its move: what it has left is not managed as the volume', async () => {
    const backup = await backUpRegistry(stage);
    await stage.untilUp();
    const { id, contents: old } = await stage.volume();
    const handle = await stage.migrate(id, { bandwidth: slowly });
    await stage.untilCopied(handle);
    const contents = await endsWithoutItsSource(id, handle);
    assert.notEqual(contents, old);
    const found = (await devicesOf(id)).map(({ place }) => place);
    const nameOn = (node: string) => found.find((place) => place[0] === node)!.at(-1)!;
    await killed('server2');
    await backup.restore();
    await untilUp('server1');
    const manage = (at: string, name: string) => refused('manage', at, name);
    assert.match((await manage(server1, nameOn('server1'))).message, /server2.* did not answer/);
    await untilUp('server2');
    const { type, message } = await manage(server1, nameOn('server1'));
    assert.equal(type, 'NeedsRepair');
    assert.match(message, new RegExp(`${nameOn('server2')} on ${server2}`));
    assert.equal((await ferry('manage', server2, nameOn('server2')))['id'], id);
    assert.equal(await stage.checker.contents(id), contents);
  });

  describe('a move whose source could not be retired', () => {
    /** It has moved to server2, has been written there, and the registry has never heard of that. */
    const forgotten = async () => {
      await untilUp('server1');
      await untilUp('server2');
      const { id } = await stage.volume();
      const backup = await backUpRegistry(stage);
      await stage.untilUp();
      const handle = await stage.migrate(id, { bandwidth: slowly });
      await stage.untilCopied(handle);
      const contents = await endsWithoutItsSource(id, handle);
      await backup.restore();
      await untilUp('server1');
      await stage.untilUp();
      return { id, contents };
    };
    const judged = async (id: string, ...options: string[]) =>
      (await ferry<RepairReport>('repair', ...options)).volumes.find(({ volumeId }) => volumeId === id);

    test('nobody is given it, or forgets it, before the registry is true again', async () => {
      const { id, contents } = await forgotten();
      const told = await judged(id, '--dry-run');
      assert.deepEqual([told?.direction, told?.to?.backEnd], ['adopt', server2], told?.why);
      for (const command of [
        ['attach', id, 'vm-1', 'elsewhere'],
        ['unmanage', id],
        ['snapshot', 'create', id],
      ]) {
        const { type, message } = await refused(...command);
        assert.equal(type, 'NeedsRepair', message);
      }
      assert.equal((await judged(id))?.state, 'repaired');
      assert.equal((await ferry('show', id))['os-vol-host-attr:host'], server2);
      assert.equal(await stage.checker.contents(id), contents);
    });

    test('who was given it before anybody looked is not turned to the other device', async () => {
      const { id, contents } = await forgotten();
      await ferry('attach', id, 'vm-1', 'elsewhere');
      const told = await judged(id);
      assert.deepEqual([told?.direction, told?.state], ['ask', 'none'], told?.why);
      assert.match(told?.why ?? '', /it is attached as \S+ on server1/);
      assert.equal((await ferry('show', id))['os-vol-host-attr:host'], server1);
      await ferry('detach', id);
      const name = (await devicesOf(id)).find(({ place }) => place[0] === 'server2')!.place.at(-1)!;
      await ferry('repair', '--volume', id, '--device', `${server2}/${name}`);
      assert.equal(await stage.checker.contents(id), contents);
    });
  });

  for (const [what, later] of [
    ['at once', []],
    ['after it was moved away and back', [server2, server1]],
  ] as const)
    test(`a manage, ${what}: what is on the device stays a volume`, async () => {
      const name = `precious-${randomBytes(4).toString('hex')}`;
      const folder = join(stage.directory, 'nodes/server1/lvmstorage-1/volumes');
      await writeFile(join(folder, name), randomBytes(32 * 1024 ** 2));
      const client = new pg.Client({ connectionString: stage.postgres.url });
      client.on('error', () => {});
      await client.connect();
      const managing = stage.ferry('manage', server1, name, '--tenant', 'tenant-1', '--name', 'gold', '--json');
      // Its last commit waits for this; it is begun and over within a moment, so that it is looked for without a pause.
      let id = '';
      for (const deadline = Date.now() + 60_000; id === '' && Date.now() < deadline;) {
        await client.query('BEGIN');
        const held = `SELECT id FROM volumes WHERE operation = 'manage' FOR UPDATE`;
        id = (await client.query<{ id: string }>(held)).rows[0]?.id ?? '';
        if (id === '') await client.query('ROLLBACK');
      }
      assert.notEqual(id, '', 'it was over before it was seen');
      await poll(async () => (await devicesOf(id)).length === 1);
      const backup = await backUpRegistry(stage);
      await client.end().catch(() => {});
      // It may have asked while the registry was stopped to be copied; its workflow goes on.
      await managing;
      await poll(async () => (await ferry('show', id))['status'] === 'available');
      for (const destination of later) assert.equal(await stage.attempt(id, { destination }), 'success');
      const contents = await stage.checker.fill(id);
      await backup.restore();
      await stage.untilUp();
      // What the schedule does, and then an operator.
      for (const _ of [1, 2]) await repair();
      await stage.checker.assertAt(id, { host: server1, contents }, { settleMs: 10_000 });
    });
});

describe('a migration that goes back once its copy is whole, and whose source is lost', () => {
  const lose = async (id: string) => {
    const file = join(stage.directory, 'nodes/server1/lvmstorage-1/volumes', `volume-${id}`);
    await execa('chattr', ['-i', file], { reject: false });
    await rm(file);
  };
  /** The copy is whole, the source was looked at for the last time, and the copy's node does not answer. */
  const proven = async (by: 'SIGSTOP' | 'SIGKILL') => {
    await untilUp('server2');
    const { id, contents } = await stage.volume();
    const handle = await stage.migrate(id, { bandwidth: slowly, destination: server2, verify: 'none' });
    await stage.untilCopied(handle);
    // What is under way goes on; what comes then waits for the back end.
    const mark = join(stage.directory, 'nodes/server2/lvmstorage-2/.ferry-back-end.json');
    await rename(mark, `${mark}-away`);
    await poll(async () => {
      const steps = await pendingIn(handle);
      return steps.includes('proveDestination') && !steps.includes('checkSource');
    });
    await stage.storage['server2']!.signal(by);
    await rename(`${mark}-away`, mark);
    return { id, contents, handle };
  };
  const assertKept = async (id: string, contents: string) => {
    const copies = await devicesOf(id);
    assert.equal(copies.length, 1, 'all that was left of the volume was deleted');
    assert.equal(await stage.sight.digest(copies[0]!.place), contents);
  };

  test('before it goes back: the copy stays', async () => {
    const { id, contents, handle } = await proven('SIGSTOP');
    await lose(id);
    const cancelling = stage.ferry('migration', 'cancel', id);
    await poll(async () => JSON.stringify((await handle.fetchHistory()).events).includes('cancelMigration'));
    await stage.storage['server2']!.signal('SIGCONT');
    await cancelling;
    await stage.outcome(handle);
    await assertKept(id, contents);
  });

  test('while its clean-up waits for the copy’s node: the copy stays', async () => {
    const { id, contents, handle } = await proven('SIGKILL');
    await stage.ferry('migration', 'cancel', id);
    await stage.outcome(handle);
    await lose(id);
    const told = (await repair()).volumes.find(({ volumeId }) => volumeId === id);
    assert.match(told?.why ?? '', /its device is nowhere/);
    await untilUp('server2');
    for (const _ of [1, 2, 3]) await repair();
    await assertKept(id, contents);
  });
});
