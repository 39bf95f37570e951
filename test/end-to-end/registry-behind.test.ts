import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { reconcileSchedule } from '../../model/names.ts';
import type { RepairReport } from '../../model/repair.ts';
import { backUpRegistry } from './registry-backup.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';

const second = 'server1@second';
const sizeMib = 24 * 1024;
const nodes = [
  {
    name: 'server1',
    volumeGroups: [
      { name: 'lvmstorage-1', sizeMib },
      { name: 'second', sizeMib },
    ],
  },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib }] },
];

let stage: Stage;
before(async () => {
  // Of no whole MiB, as what is managed may be: every sector comes along, and comes back into the registry.
  stage = await setStage({ backing: 'directory', nodes, volumeBytes: 96 * 1024 ** 2 + 512 });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

async function repair(...options: string[]): Promise<RepairReport> {
  const { stdout, stderr, exitCode } = await stage.ferry('repair', '--json', '--orphan-grace', '0', ...options);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as RepairReport;
}

async function moves(id: string, ...to: string[]): Promise<void> {
  for (const destination of to) assert.equal(await stage.attempt(id, { destination }), 'success', destination);
}

async function volumeOf(id: string): Promise<Record<string, unknown>> {
  const { stdout, exitCode, stderr } = await stage.ferry('show', id, '--json');
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('a registry that went back in time', () => {
  for (const [what, later, isAt] of [
    ['one move', [server2], server2],
    ['one move within a node', [second], second],
    ['three moves, the last of them back', [second, server2, server1], server1],
    ['two moves to and fro, under the same name', [second, server1, second], second],
  ] as const) {
    test(`${what}: the device tells, the registry follows, every byte is there`, async () => {
      const { id } = await stage.volume();
      const backup = await backUpRegistry(stage);
      await moves(id, ...later);
      const contents = await stage.checker.fill(id);
      await backup.restore();
      await stage.untilUp();

      const [told] = (await repair('--dry-run')).volumes.filter(({ volumeId }) => volumeId === id);
      assert.equal(told?.direction, 'adopt');
      assert.equal(told.to?.backEnd, isAt);
      // Nothing of the volume moves, and nothing is taken away meanwhile.
      assert.equal(await stage.attempt(id, { destination: isAt === second ? server2 : second }), 'NeedsRepair');
      const [done] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
      assert.equal(done?.state, 'repaired', done?.note ?? '');
      const row = await volumeOf(id);
      assert.deepEqual([row['os-vol-host-attr:host'], row['size']], [isAt, '100663808B']);
      await stage.checker.assertAt(id, { host: isAt, contents }, { settleMs: 10_000 });
      assert.deepEqual((await repair()).volumes, []);
      // It moves again, and its next device is of a generation above all before.
      await moves(id, isAt === server2 ? server1 : server2);
      await stage.checker.assertAt(id, { host: isAt === server2 ? server1 : server2, contents }, { settleMs: 10_000 });
    });
  }

  for (const [what, end] of [
    ['ended well', 'success'],
    ['was cancelled', 'CancelledFailure'],
  ] as const) {
    test(`into the middle of a move that ${what}, and after which it moved on: it is where it moved`, async () => {
      const { id, handle } = await stage.midCopy();
      const backup = await backUpRegistry(stage);
      if (end === 'success') await stage.hurry(handle);
      else await poll(async () => (await stage.ferry('migration', 'cancel', id)).exitCode === 0);
      assert.equal(await stage.outcome(handle), end);
      await moves(id, second);
      const contents = await stage.checker.fill(id);
      // What both moves have left is gone: a source that is still there would have the last word.
      await stage.checker.assertAt(id, { host: second, contents }, { settleMs: 60_000 });
      await backup.restore();
      await stage.untilUp();
      // The claim that was forgotten to be over is ended first, and in the same look the device is believed.
      const report = await repair();
      assert.equal(report.migrations.find(({ volumeId }) => volumeId === id)?.direction, 'left');
      const [done] = report.volumes.filter(({ volumeId }) => volumeId === id);
      assert.equal(done?.state, 'repaired', done?.note ?? done?.why);
      await stage.checker.assertAt(id, { host: second, contents }, { settleMs: 10_000 });
      assert.deepEqual((await repair()).volumes, []);
      await moves(id, server2);
    });
  }

  test('before a volume was made: its row comes back with its name, its tenant and its bytes', async () => {
    const backup = await backUpRegistry(stage);
    const { id } = await stage.volume();
    await moves(id, server2);
    const contents = await stage.checker.fill(id);
    await backup.restore();
    await stage.untilUp();
    const [told] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
    assert.equal(told?.state, 'repaired', told?.note ?? told?.why);
    const row = await volumeOf(id);
    assert.deepEqual([row['os-vol-host-attr:host'], row['size']], [server2, '100663808B']);
    assert.equal(row['os-vol-tenant-attr:tenant_id'], 'tenant-1');
    assert.equal(row['display_name'], 'test');
    await stage.checker.assertAt(id, { host: server2, contents }, { settleMs: 10_000 });
  });

  test('before a volume was deleted: nothing is made up, and the row goes when an operator says so', async () => {
    const { id } = await stage.volume();
    const backup = await backUpRegistry(stage);
    assert.equal((await stage.ferry('delete', id)).exitCode, 0);
    await backup.restore();
    await stage.untilUp();
    const [told] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
    assert.equal(told?.direction, 'ask');
    assert.match(told.why, /nowhere/);
    const refused = await stage.ferry('delete', id);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /--force/);
    assert.equal((await volumeOf(id))['status'], 'available');
    assert.equal((await stage.ferry('delete', id, '--force')).exitCode, 0);
    assert.deepEqual((await repair()).volumes, []);
  });

  test('before a volume was attached: who writes to it is told, and it does not move', async () => {
    const { id } = await stage.volume();
    const backup = await backUpRegistry(stage);
    // On a hypervisor without a compute worker: Ferry only makes the export.
    const attached = await stage.ferry('attach', id, 'vm-1', 'hv-of-others');
    assert.equal(attached.exitCode, 0, attached.stderr);
    await backup.restore();
    await stage.untilUp();
    const [told] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
    assert.equal(told?.direction, 'ask');
    assert.match(told.why, /lets somebody write/);
    assert.equal(await stage.attempt(id), 'NeedsRepair');
    const pid = /process (\d+)/.exec(told.why)![1]!;
    process.kill(Number(pid));
    await poll(async () => (await repair()).volumes.every(({ volumeId }) => volumeId !== id));
    await moves(id, server2);
  });

  test('by an undo: the kept source is the volume again, and no kept source any more', async () => {
    const { id, contents } = await stage.volume();
    assert.equal(await stage.attempt(id, { keepSourceSeconds: 3600 }), 'success');
    const backup = await backUpRegistry(stage);
    const undone = await stage.ferry('migration', 'undo', id);
    assert.equal(undone.exitCode, 0, undone.stderr);
    await backup.restore();
    await stage.untilUp();
    await stage.ferry('migration', 'discard', id);
    const [told] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
    assert.equal(told?.state, 'repaired', told?.note ?? told?.why);
    await stage.checker.assertAt(id, { host: server1, contents }, { settleMs: 10_000 });
  });

  test('a device that is gone for good is for an operator to decide about', async () => {
    const { id } = await stage.volume();
    await moves(id, server2);
    const [, , name] = (await stage.sight.devices()).find(({ tags }) => tags.includes(`ferry.volume=${id}`))!.place;
    await rm(join(stage.directory, 'nodes/server2/lvmstorage-2/volumes', name));
    const [told] = (await repair()).volumes.filter(({ volumeId }) => volumeId === id);
    assert.equal(told?.direction, 'ask');
    const device = `${server1}/volume-${randomUUID()}`;
    const wrong = await stage.ferry('repair', '--volume', id, '--device', device, '--json');
    const [failed] = (JSON.parse(wrong.stdout) as RepairReport).volumes;
    assert.equal(failed?.state, 'failed');
    assert.equal((await stage.ferry('delete', id, '--force')).exitCode, 0);
  });
});
