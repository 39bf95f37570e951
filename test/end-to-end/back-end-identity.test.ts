import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { ObservedBackEnd } from '../../model/back-end.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const renamed = 'storage-b@lvmstorage-2';

describe('a back end whose storage is not there', () => {
  let stage: Stage;
  let point: string;
  before(async () => {
    stage = await setStage({ backing: 'directory' });
    point = join(stage.directory, 'nodes/server2/lvmstorage-2');
    await mkdir(join(stage.directory, 'disk'));
    await mount();
    // A file system that is mounted over a back end that has nothing yet becomes its storage.
    await fault(null);
  });
  after(async () => {
    if (stage) await execa('umount', [point], { reject: false });
    await stage?.strike();
  });
  const { ferry, refused } = stageCli(() => stage);
  const mount = () => execa('mount', ['--bind', join(stage.directory, 'disk'), point]);
  const backEnds = () => ferry<(ObservedBackEnd & { state: 'up' | 'down' })[]>('host', 'list');
  /** Waits until the second node's back end says so. */
  const fault = (what: RegExp | null) =>
    poll(async () => {
      const found = (await backEnds()).find(({ name }) => name.endsWith('@lvmstorage-2'));
      return what === null ? found?.state === 'up' : what.test(found?.fault ?? '');
    });

  test('takes nothing, loses nothing, and goes on when its file system is mounted again', async () => {
    await poll(async () => (await readdir(join(stage.directory, 'disk'))).length > 0);
    const there = await stage.volume(server2);
    const moving = await stage.volume(server1);
    await execa('umount', [point]);
    const bare = await readdir(point, { recursive: true });
    // At once, while the last report still calls it well.
    const types = ['BackEndUnavailable', 'BackEndDown', 'MigrationRefused', 'NodeUnavailable'];
    const [type = ''] = (await stage.attempt(moving.id, { nodeTimeoutSeconds: 5 })).split(':');
    assert.ok(types.includes(type), type);
    await fault(/not its storage.*ferry back-end adopt/);
    assert.equal((await refused('migrate', there.id, server1)).type, 'BackEndDown');
    assert.equal((await refused('create', '--size', '1', '--host', server2)).type, 'BackEndDown');
    assert.deepEqual(await readdir(point, { recursive: true }), bare);
    await mount();
    await fault(null);
    await stage.checker.assertAt(there.id, { host: server2, contents: there.contents });
    await ferry('migrate', moving.id, server2);
    await stage.checker.assertAt(moving.id, { host: server2, contents: moving.contents, outcome: 'success' });
    await ferry('migrate', there.id, server1);
    await stage.checker.assertAt(there.id, { host: server1, contents: there.contents, outcome: 'success' });
  });

  test('of a node that is renamed is the new name’s once an operator says so', async () => {
    const { id } = await stage.volume(server2);
    await stage.storage['server2']!.signal('SIGTERM');
    const file = join(stage.directory, 'nodes/server2/ferry.json');
    const configured = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...configured, node: { ...configured.node, name: 'storage-b' } }));
    await stage.storage['server2']!.start();
    await poll(async () => {
      const found = (await backEnds()).find(({ name }) => name === renamed);
      return /storage of back end server2@lvmstorage-2/.test(found?.fault ?? '');
    });
    await poll(async () => (await stage.ferry('host', 'rename', 'server2', 'storage-b')).exitCode === 0);
    await fault(null);
    await ferry('migrate', id, server1);
    assert.equal((await ferry('show', id))['os-vol-host-attr:host'], server1);
  });

  test('is adopted as it is when an operator says so, with --yes if something could be lost', async () => {
    const { id } = await stage.volume(server1);
    const path = join(stage.directory, 'nodes/server1/lvmstorage-1');
    const mark = join(path, '.ferry-back-end.json');
    const content = JSON.parse(await readFile(mark, 'utf8'));
    await writeFile(mark, JSON.stringify({ ...content, registry: content.id }));
    await poll(async () => {
      const found = (await backEnds()).find(({ name }) => name === server1);
      return /belongs to another Ferry/.test(found?.fault ?? '');
    });
    await poll(async () => (await ferry<{ found: unknown }>('back-end', 'adopt', server1, '--dry-run')).found !== null);
    assert.match((await refused('back-end', 'adopt', server1)).message, /another Ferry.*--yes/s);
    await ferry('back-end', 'adopt', server1, '--yes');
    await poll(async () => (await backEnds()).every(({ state }) => state === 'up'));
    await ferry('extend', id, '2');
    assert.deepEqual(await ferry('back-end', 'adopt', server1), { backEnd: server1, found: null, risks: [] });
  });
});
