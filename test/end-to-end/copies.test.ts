import assert from 'node:assert/strict';
import { copyFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { reconcileSchedule } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory' });
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => stage?.strike());

const { ferry, refused, status } = stageCli(() => stage);

interface Shown {
  id: string;
  size: number;
  status: string;
  snapshot_id: string | null;
  source_volid: string | null;
  'os-vol-host-attr:host': string;
}
const make = (...options: string[]) => ferry<Shown>('create', ...options);
const place = (host: string, device: string) => [...host.split('@'), device] as [string, string, string];
const file = (host: string, device: string) =>
  join(stage.directory, 'nodes', host.replace('@', '/'), 'volumes', device);
/** What a volume's device shows, of the first GiB; and its tags. */
async function seen({ id, 'os-vol-host-attr:host': host }: Shown) {
  const device = (await stage.sight.devices()).find((each) => each.place[2] === `volume-${id}`);
  return { contents: await stage.sight.digest(place(host, `volume-${id}`), 1), tags: device!.tags };
}
const live = (id: string) => [`ferry.volume=${id}`, 'ferry.role=live', 'ferry.generation=0'];

/** A create that is begun and cannot go on: the node of the new volume hangs. */
async function hanging(from: string[]): Promise<{ id: string; command: ReturnType<Stage['ferry']> }> {
  await stage.storage['server2']!.signal('SIGSTOP');
  const command = stage.ferry('create', ...from, '--host', server2, '--json');
  let id: string | undefined;
  await poll(async () => {
    id = (await ferry<Shown[]>('list')).find((volume) => volume.status === 'creating')?.id;
    return id !== undefined;
  });
  return { id: id!, command };
}
const goOn = () => stage.storage['server2']!.signal('SIGCONT');

describe('a volume from a snapshot', () => {
  test('has its bytes, zeros after them, and nothing in common with it any more', async () => {
    const { id, contents } = await stage.volume();
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
    await stage.checker.fill(id);
    const here = await make('--from-snapshot', snapshot);
    const there = await make('--from-snapshot', snapshot, '--size', '2', '--host', server2);
    for (const made of [here, there]) {
      const { contents: found, tags } = await seen(made);
      assert.equal(found, contents);
      for (const tag of live(made.id)) assert.ok(tags.includes(tag), tags.join(' '));
      assert.deepEqual([made.snapshot_id, made.source_volid, made.status], [snapshot, null, 'available']);
    }
    assert.deepEqual([here.size, here['os-vol-host-attr:host']], [1, server1]);
    assert.deepEqual([there.size, there['os-vol-host-attr:host']], [2, server2]);
    const device = file(server2, `volume-${there.id}`);
    assert.equal((await stat(device)).size, 2 * gib);
    await execa('cmp', [`--bytes=${gib}`, `--ignore-initial=${gib}:0`, device, '/dev/zero']);
    assert.deepEqual(await stage.sight.exports(), []);
    await ferry('snapshot', 'delete', snapshot);
    await ferry('delete', id);
    assert.equal((await seen(here)).contents, contents);
    assert.equal(await stage.attempt(here.id), 'success', 'it moves like any other');
  });

  test('is refused when it would be smaller, and of a snapshot that is not there', async () => {
    const { id } = await stage.volume();
    await ferry('extend', id, '2');
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
    assert.equal((await refused('create', '--from-snapshot', snapshot, '--size', '1')).type, 'InvalidInput');
    assert.equal((await refused('create', '--from-volume', id, '--size', '1')).type, 'InvalidInput');
    assert.equal((await refused('create', '--from-snapshot', id)).type, 'SnapshotNotFound');
    assert.equal((await refused('create', '--from-volume', snapshot)).type, 'VolumeNotFound');
    assert.equal((await refused('create', '--from-volume', id, '--as', 'tenant-2')).type, 'VolumeNotFound');
  });

  test('of an attached volume is made all the same; the volume itself is not copied', async () => {
    const { id, contents } = await stage.volume();
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
    await ferry('attach', id, 'vm-1', 'hv1');
    assert.equal((await seen(await make('--from-snapshot', snapshot))).contents, contents);
    const error = await refused('create', '--from-volume', id);
    assert.equal(error.type, 'VolumeStatusRefused');
    assert.match(error.message, /is in a snapshot of it/);
    await ferry('detach', id);
  });
});

describe('a volume from a volume', () => {
  test('holds it while it is copied, and goes on when its node comes back', async () => {
    const { id, contents } = await stage.volume();
    const { id: copy, command } = await hanging(['--from-volume', id]);
    for (const argv of [
      ['delete', id],
      ['extend', id, '3'],
      ['attach', id, 'vm-1', 'hv1'],
      ['unmanage', id],
    ]) {
      const error = await refused(...argv);
      assert.deepEqual([error.type, error.message.includes(copy)], ['VolumeBusy', true], argv.join(' '));
    }
    assert.equal(await stage.attempt(id), 'VolumeBusy');
    assert.equal(await status(id), 'available');
    // Others may be copied from it at the same time.
    assert.equal((await seen(await make('--from-volume', id))).contents, contents);
    await stage.storage['server2']!.signal('SIGKILL');
    await stage.storage['server2']!.start();
    const { exitCode, stdout, stderr } = await command;
    assert.equal(exitCode, 0, stderr);
    assert.equal((await seen(JSON.parse(stdout) as Shown)).contents, contents);
    assert.deepEqual(await stage.sight.exports(), []);
    assert.equal(await stage.attempt(id), 'success');
  });

  test('that is given up is in error, whatever came onto its device; it can be deleted, and so can what it was made from', async () => {
    const { id } = await stage.volume();
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
    const { id: copy, command } = await hanging(['--from-snapshot', snapshot]);
    assert.equal((await refused('snapshot', 'delete', snapshot)).type, 'VolumeBusy');
    const handle = stage.client.workflow.getHandle(`create-${copy}`);
    await poll(async () =>
      ((await handle.describe()).raw.pendingActivities ?? []).some((a) => a.activityType?.name === 'createDevice'),
    );
    await handle.terminate('an operator was in a hurry');
    assert.notEqual((await command).exitCode, 0);
    await goOn();
    await poll(async () => (await stage.sight.devices()).some((each) => each.place[2] === `volume-${copy}`));
    await ferry('repair');
    assert.equal(await status(copy), 'error');
    await ferry('reset-state', copy, '--state', 'available');
    assert.equal((await refused('attach', copy, 'vm-1', 'hv1')).type, 'NeedsRepair', 'its device is only half of it');
    assert.equal((await refused('create', '--from-volume', copy)).type, 'NeedsRepair');
    await ferry('delete', copy);
    assert.deepEqual(
      (await stage.sight.devices()).filter((each) => each.place[2].includes(copy)),
      [],
    );
    await ferry('snapshot', 'delete', snapshot);
    await ferry('delete', id);
  });
});

describe('a volume that goes back to its last snapshot', () => {
  const snapshots = (id: string) => ferry<{ id: string; status: string }[]>('snapshot', 'list', '--volume', id);
  const take = async (id: string) => (await ferry<{ id: string }>('snapshot', 'create', id)).id;

  test('holds what that holds, which stays; not to an earlier one, or when it has been extended since', async () => {
    const { id, contents } = await stage.volume();
    const first = await take(id);
    await stage.checker.fill(id);
    await ferry('snapshot', 'revert', first);
    assert.deepEqual([await status(id), await stage.checker.contents(id)], ['available', contents]);
    assert.deepEqual(await snapshots(id).then((all) => all.map((s) => [s.id, s.status])), [[first, 'available']]);
    await ferry('attach', id, 'vm-1', 'hv1');
    assert.equal((await refused('snapshot', 'revert', first)).type, 'VolumeStatusRefused');
    await ferry('detach', id);
    const second = await take(id);
    assert.equal((await refused('snapshot', 'revert', first)).type, 'InvalidInput');
    await ferry('extend', id, '2');
    assert.equal((await refused('snapshot', 'revert', second)).type, 'SizeMismatch');
    assert.deepEqual(
      (await snapshots(id)).map((s) => s.status),
      ['available', 'available'],
    );
    assert.equal(await status(id), 'available');
  });

  test('is nobody’s while it is only half of it; the snapshot stays until it is whole', async () => {
    const { id, contents } = await stage.volume();
    const snapshot = await take(id);
    await stage.checker.fill(id);
    const device = file(server1, `_snapshot-${snapshot}`);
    await copyFile(device, `${device}.away`);
    await truncate(device, 1024 ** 2);
    assert.equal((await refused('snapshot', 'revert', snapshot)).type, 'SizeMismatch');
    assert.deepEqual([await status(id), (await snapshots(id))[0]?.status], ['error', 'restoring']);
    assert.equal((await refused('snapshot', 'delete', snapshot)).type, 'VolumeStatusRefused');
    await ferry('reset-state', id, '--state', 'available');
    assert.equal((await refused('attach', id, 'vm-1', 'hv1')).type, 'NeedsRepair');
    await copyFile(`${device}.away`, device);
    await ferry('snapshot', 'revert', snapshot);
    assert.deepEqual([await status(id), await stage.checker.contents(id)], ['available', contents]);
    await ferry('snapshot', 'delete', snapshot);
    assert.equal(await stage.attempt(id), 'success');
  });

  test('goes on when its node was killed', async () => {
    const { id, contents } = await stage.volume();
    const snapshot = await take(id);
    await stage.checker.fill(id);
    await stage.storage['server1']!.signal('SIGSTOP');
    const command = stage.ferry('snapshot', 'revert', snapshot);
    await poll(async () => (await status(id)) === 'reverting');
    await stage.storage['server1']!.signal('SIGKILL');
    await stage.storage['server1']!.start();
    const { exitCode, stderr } = await command;
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual([await status(id), await stage.checker.contents(id)], ['available', contents]);
  });
});

test('a snapshot is let go under its name, and a device as large as the volume is taken as one', async () => {
  const { id, contents } = await stage.volume();
  const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
  await stage.checker.fill(id);
  const { deviceName } = await ferry<{ deviceName: string }>('snapshot', 'unmanage', snapshot);
  assert.equal((await refused('snapshot', 'delete', snapshot)).type, 'SnapshotNotFound');
  assert.equal((await refused('snapshot', 'manage', id, 'nothing')).type, 'DeviceMissing');
  await writeFile(file(server1, 'small'), 'x');
  assert.equal((await refused('snapshot', 'manage', id, 'small')).type, 'SizeMismatch');
  const other = `volume-${(await stage.volume()).id}`;
  assert.equal((await refused('snapshot', 'manage', id, other)).type, 'NotOwned');
  const { id: back, name } = await ferry<{ id: string; name: string }>(
    ...['snapshot', 'manage', id, deviceName, '--name', 'found'],
  );
  assert.equal(name, 'found');
  assert.equal((await seen(await make('--from-snapshot', back))).contents, contents);
  await ferry('snapshot', 'delete', back);
  assert.deepEqual(await ferry('snapshot', 'list', '--volume', id), []);
});
