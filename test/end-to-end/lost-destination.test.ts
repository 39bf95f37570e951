import assert from 'node:assert/strict';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { messages } from '../../model/messages.ts';
import type { MigrationState } from '../../model/migration.ts';
import { reconcileSchedule } from '../../model/names.ts';
import { holdSwitch } from './hold-switch.ts';
import { poll, server1, server2, setStage, slowly, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 30 });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

const disks = () => join(stage.directory, 'nodes/server2/lvmstorage-2');
const elsewhere = () => join(stage.directory, 'lost-disks');

const waitingFor = async (handle: WorkflowHandle) =>
  (await handle.query<MigrationState>(messages.migrationState)).waitingFor ?? '';

/** A migration whose destination is lost, disks and all, just before its switch is committed. */
async function loseDestination(request: Parameters<Stage['migrate']>[1] = {}) {
  const { id, contents } = await stage.volume();
  const handle = await stage.migrate(id, { bandwidth: slowly, ...request });
  const release = await holdSwitch(stage, id, handle);
  await stage.storage['server2']!.signal('SIGKILL');
  await rename(disks(), elsewhere());
  await release();
  await poll(async () => (await waitingFor(handle)).includes('ferry migration resolve'));
  return { id, contents, handle };
}

async function bringBack(): Promise<void> {
  await rename(elsewhere(), disks());
  await stage.storage['server2']!.start();
  await stage.untilUp();
}

describe('a destination that is lost between the proof and the end', () => {
  test('is waited for, its source stays; it comes back, and the migration ends as if nothing had been', async () => {
    const { id, contents, handle } = await loseDestination();
    const devices = (await stage.sight.devices()).filter(({ tags }) => tags.includes(`ferry.volume=${id}`));
    assert.deepEqual(
      devices.map(({ place }) => place[0]),
      ['server1'],
    );
    const refused = await stage.ferry('migration', 'cancel', id);
    assert.equal(refused.exitCode, 1);
    await bringBack();
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
  });

  test('is given up by an operator: the volume is back on its source, and what comes back late of it goes', async () => {
    const { id, contents, handle } = await loseDestination({ keepSourceSeconds: 3600 });
    const resolved = await stage.ferry('migration', 'resolve', id, 'source');
    assert.equal(resolved.exitCode, 0, resolved.stderr);
    assert.notEqual(await stage.outcome(handle), 'success');
    const { stdout } = await stage.ferry('show', id, '--json');
    assert.equal((JSON.parse(stdout) as Record<string, unknown>)['os-vol-host-attr:host'], server1);
    assert.equal(await stage.checker.contents(id), contents);
    await bringBack();
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'error' });
    // It moves again: what was lost before has no claim on it.
    assert.equal(await stage.attempt(id), 'success');
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
  });

  test('before the switch is an ordinary failure: the volume stays, free at once', async () => {
    const { id, handle, old } = await stage.midCopy();
    await stage.untilCopied(handle);
    await stage.storage['server2']!.signal('SIGKILL');
    await rename(disks(), elsewhere());
    assert.equal(await stage.outcome(handle), 'NodeUnavailable');
    assert.equal(await stage.checker.contents(id), old.contents);
    await bringBack();
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });
});

describe('a source that is lost after it was copied', () => {
  /** A migration whose source is removed while it is copied: the copy is made from what the export has open. */
  async function loseSource() {
    const { id, contents } = await stage.volume();
    const handle = await stage.migrate(id, { bandwidth: slowly });
    await stage.untilCopied(handle);
    const file = join(stage.directory, 'nodes/server1/lvmstorage-1/volumes', `volume-${id}`);
    await execa('chattr', ['-i', file], { reject: false });
    await rm(file);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'DeviceMissing');
    return { id, contents };
  }
  const copiesOf = async (id: string) =>
    (await stage.sight.devices()).filter(({ tags }) => tags.includes(`ferry.volume=${id}`));

  test('keeps its copy: nothing deletes it, and an operator says that it is the volume', async () => {
    const { id, contents } = await loseSource();
    const [copy, ...more] = await copiesOf(id);
    assert.deepEqual([copy?.place[0], more], ['server2', []]);
    const { stdout } = await stage.ferry('migration', 'list', '--volume', id, '--json');
    assert.match(stdout, /so the copy is kept/);
    // Nor does the repair, whatever its patience.
    await stage.ferry('repair', '--orphan-grace', '0');
    assert.equal((await copiesOf(id)).length, 1);
    const chosen = `${server2}/${copy!.place.at(-1)!}`;
    const repaired = await stage.ferry('repair', '--volume', id, '--device', chosen);
    assert.equal(repaired.exitCode, 0, repaired.stderr + repaired.stdout);
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'error' });
  });
});
