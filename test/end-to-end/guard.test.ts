import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Connection } from '../../model/connection.ts';
import { gib } from '../../model/sizes.ts';
import { server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 60 });
});
after(() => stage?.strike());

const { ferry, refused, create } = stageCli(() => stage);

interface Attached {
  connection: Connection;
}

describe('tenants', () => {
  test('see, change and delete their own volumes only, and never where those are', async () => {
    const mine = await create('--tenant', 't1', '--name', 'mine');
    const theirs = await create('--tenant', 't2');
    const as = (...args: string[]) => [...args, '--as', 't1'];
    assert.deepEqual(
      (await ferry<{ id: string }[]>(...as('list'))).map(({ id }) => id),
      [mine],
    );
    assert.doesNotMatch(JSON.stringify(await ferry(...as('show', mine))), /lvmstorage|migstat|name_id/);
    for (const args of [
      ['show', theirs],
      ['delete', theirs],
      ['extend', theirs, '2'],
      ['rename', theirs, 'x'],
      ['metadata', 'set', theirs, 'a=b'],
      ['attach', theirs, 'vm-1', 'hv1'],
      ['detach', theirs],
      ['snapshot', 'create', theirs],
    ]) {
      assert.equal((await refused(...as(...args))).type, 'VolumeNotFound', args[0]);
    }
    for (const args of [
      ['migrate', mine, server2],
      ['migration', 'cancel', mine],
      ['migration', 'list'],
      ['reset-state', mine],
      ['delete', mine, '--force'],
      ['discover', server1],
      ['manage', server1, 'x'],
      ['unmanage', mine],
      ['host', 'list'],
      ['host', 'disable', server1],
    ]) {
      assert.equal((await refused(...as(...args))).type, 'Forbidden', args.join(' '));
    }
    const { id: snapshot } = await ferry<{ id: string }>(...as('snapshot', 'create', mine));
    assert.equal((await refused('snapshot', 'delete', snapshot, '--as', 't2')).type, 'SnapshotNotFound');
    await ferry(...as('snapshot', 'delete', snapshot));
    const attached = await ferry(...as('attach', mine, 'vm-1', 'hv1'));
    assert.doesNotMatch(JSON.stringify(attached), /lvmstorage|connection|hv1/);
    await ferry(...as('detach', mine));
    await ferry(...as('delete', mine));
    await ferry('delete', theirs);
  });
});

describe('names and metadata', () => {
  test('any short text is a name; what is none is refused without effect', async () => {
    const id = await create('--name', 'first');
    assert.equal((await ferry('rename', id, 'a/b "ü" 💾'))['display_name'], 'a/b "ü" 💾');
    assert.equal((await refused('rename', id, '💾'.repeat(2500))).type, 'InvalidInput');
    assert.equal((await refused('rename', id, 'a\nb')).type, 'InvalidInput');
    assert.equal((await refused('rename', id, '--', '-'.repeat(256))).type, 'InvalidInput');
    assert.deepEqual((await ferry('metadata', 'set', id, 'a=1', 'b=2'))['metadata'], { a: '1', b: '2' });
    assert.deepEqual((await ferry('metadata', 'set', id, 'b=3'))['metadata'], { a: '1', b: '3' });
    assert.deepEqual((await ferry('metadata', 'unset', id, 'a', 'never'))['metadata'], { b: '3' });
    assert.equal((await refused('metadata', 'set', id, `k=${'💾'.repeat(2500)}`)).type, 'InvalidInput');
    for (const instance of ['a/b', '../x', 'ü', 'x'.repeat(300)]) {
      assert.equal((await refused('attach', id, instance, 'hv1')).type, 'InvalidInput', instance);
      assert.equal((await refused('attach', id, 'vm-1', instance)).type, 'InvalidInput', instance);
    }
    const shown = await ferry('show', id);
    assert.deepEqual(
      [shown['display_name'], shown['metadata'], shown['status']],
      ['a/b "ü" 💾', { b: '3' }, 'available'],
    );
    await ferry('delete', id);
  });
});

describe('while a volume moves', () => {
  test('whatever touches it is refused and says why, the rest goes on, and nothing is lost in the end', async () => {
    const { id, handle, moved, old } = await stage.midCopy();
    const size = async () => (await ferry<{ size: number }>('show', id)).size;
    for (const args of [
      ['extend', id, '2'],
      ['attach', id, 'vm-1', 'hv1'],
      ['delete', id],
      ['delete', id, '--force'],
      ['snapshot', 'create', id],
      ['snapshot', 'create', id, '--force'],
      ['unmanage', id],
      ['migrate', id, server2],
      ['reset-state', id],
    ]) {
      const error = await refused(...args);
      assert.equal(error.type, 'VolumeMigrating', args.join(' '));
      if (args[0] === 'reset-state' || args[0] === 'migrate') continue;
      assert.match(error.message, /copying, since .*refused until.*ferry migration cancel/s);
      assert.match(error.message, /It is copying: \d+ % — .* of 1\.0 GiB/);
      assert.equal((error.details['progress'] as { totalBytes: number }).totalBytes, gib);
    }
    const forTenant = await refused('extend', id, '2', '--as', 'tenant-1');
    assert.equal(forTenant.type, 'VolumeMigrating');
    assert.doesNotMatch(JSON.stringify(forTenant), /lvmstorage|copying|migrat(?!ing")/i);
    const seen = await ferry('show', id, '--as', 'tenant-1');
    assert.equal(seen['status'], 'available');
    await ferry('rename', id, 'renamed on the way');
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    assert.equal(old.host, server1);
    await stage.checker.assertAt(id, moved);
    assert.equal(await size(), 1, 'as promised: the extend was refused, not lost');
    assert.equal((await ferry('show', id))['display_name'], 'renamed on the way');
    const { connection } = await ferry<Attached>('attach', id, 'vm-1', 'hv1');
    assert.equal(connection.backEnd, server2);
    await ferry('detach', id);
    await ferry('delete', id);
  });
});
