import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { NbdConnection } from '../../model/connection.ts';
import { commandLines } from './command-lines.ts';
import { poll, server1, server2, setStage, type NodeStage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

let stage: NodeStage;
before(async () => {
  stage = await setStage({ nodeTimeoutSeconds: 180 });
});
after(() => stage?.strike());

const mib = 1024 ** 2;
const node = 'server1';
const group = 'lvmstorage-1';

const { ferry, refused, create, status } = stageCli(() => stage);

const run = async (...argv: string[]) => (await stage.nodes.exec(node, argv)).stdout.trim();
const device = (id: string) => `/dev/${group}/volume-${id}`;
const logicalVolumes = async () => (await run('lvs', '--noheadings', '-o', 'lv_name', group)).split(/\s+/);
const exportsOf = async (id: string) =>
  (await commandLines(stage.nodes, node))
    .filter(([program, ...operands]) => program === 'qemu-nbd' && operands.some((each) => each.includes(id)))
    .map((argv) => argv.join(' '));
const digest = (name: string) => stage.sight.digest([node, group, name]);
const scribble = (path: string, countMib: number, seekMib = 0) =>
  run(
    'dd',
    'if=/dev/urandom',
    `of=${path}`,
    'bs=1M',
    `count=${countMib}`,
    `seek=${seekMib}`,
    'oflag=direct',
    'conv=notrunc',
    'status=none',
  );
/** Writes the first MiB over NBD, as the guest's disk would. */
const writeByNbd = ({ host, port, exportName }: NbdConnection, byte: string) =>
  run('qemu-io', '-f', 'raw', '-c', `write -P ${byte} 0 1M`, '-c', 'flush', `nbd://${host}:${port}/${exportName}`);

interface Attached {
  attachment_id: string;
  connection: NbdConnection;
}

describe('delete', () => {
  test('takes the device and the row; done twice it is told that there is none', async () => {
    const id = await create();
    assert.ok((await logicalVolumes()).includes(`volume-${id}`));
    await ferry('delete', id);
    assert.ok(!(await logicalVolumes()).includes(`volume-${id}`));
    assert.equal((await refused('delete', id)).type, 'VolumeNotFound');
  });

  test('a device that stays makes it error_deleting, and once it is free it goes', async () => {
    const id = await create();
    const holder = await stage.nodes.spawn(node, ['flock', '--no-fork', device(id), 'sleep', 'infinity']);
    const error = await refused('delete', id);
    assert.equal(error.type, 'DeviceInUse');
    assert.equal(await status(id), 'error_deleting');
    await stage.nodes.kill(node, holder);
    await ferry('delete', id);
    assert.ok(!(await logicalVolumes()).includes(`volume-${id}`));
  });

  test('a volume in error without a device can be deleted', async () => {
    const id = await create();
    await run('lvremove', '--yes', `${group}/volume-${id}`);
    await ferry('reset-state', id, '--state', 'error');
    await ferry('delete', id);
    assert.equal((await refused('show', id)).type, 'VolumeNotFound');
  });
});

describe('create', () => {
  test('a volume has as many whole MiB as were asked for; what is no whole extents is refused and says what is', async () => {
    const { id, size } = await ferry<{ id: string; size: unknown }>('create', '--size', '64MiB', '--host', server1);
    assert.equal(size, '64MiB');
    assert.equal(await run('blockdev', '--getsize64', device(id)), String(64 * mib));
    await ferry('delete', id);
    const uneven = await refused('create', '--size', '65MiB', '--host', server1);
    assert.deepEqual([uneven.type, /the next size that is: 68MiB/.test(uneven.message)], ['SizeMismatch', true]);
  });
});

describe('extend', () => {
  test('keeps the old bytes; the new ones are zeros, whatever was on the disk', async () => {
    const id = await create();
    const stale = await create();
    await scribble(device(stale), 64);
    await ferry('delete', stale);
    await scribble(device(id), 16);
    const before = await run('sh', '-c', `head -c 32M ${device(id)} | openssl dgst -sha256 -r`);
    const extended = await ferry<{ size: unknown; status: string }>('extend', id, '128MiB');
    assert.deepEqual([extended.size, extended.status], ['128MiB', 'available']);
    assert.equal(await run('blockdev', '--getsize64', device(id)), String(128 * mib));
    assert.equal(await run('sh', '-c', `head -c 32M ${device(id)} | openssl dgst -sha256 -r`), before);
    await run('cmp', `--bytes=${64 * mib}`, `--ignore-initial=${64 * mib}:0`, device(id), '/dev/zero');
    assert.equal((await refused('extend', id, '128MiB')).type, 'InvalidInput');
    assert.equal((await refused('extend', id, '64MiB')).type, 'InvalidInput');
    assert.equal((await refused('extend', id, '60000')).type, 'InsufficientSpace');
    assert.equal(await status(id), 'available');
    await ferry('delete', id);
  });
});

describe('attach and detach', () => {
  test('an attached volume is written through its export, and only by one; detached it is whole and free', async () => {
    const id = await create();
    const { attachment_id: attachment, connection } = await ferry<Attached>(
      'attach',
      id,
      'vm-1',
      'hv1',
      '--device',
      'vdb',
    );
    assert.deepEqual([connection.protocol, connection.backEnd, connection.device], ['nbd', server1, `volume-${id}`]);
    assert.equal(connection.exportName, `attachment-${attachment}`);
    assert.equal(await status(id), 'in-use');
    await writeByNbd(connection, '0x5a');
    assert.equal((await refused('attach', id, 'vm-1', 'hv1')).type, 'VolumeStatusRefused', 'twice');
    assert.equal((await refused('attach', id, 'vm-2', 'hv2')).type, 'VolumeStatusRefused', 'by two writers');
    assert.equal((await refused('delete', id)).type, 'VolumeStatusRefused');
    assert.equal((await refused('delete', id, '--force')).type, 'VolumeStatusRefused');
    assert.equal((await refused('unmanage', id)).type, 'VolumeStatusRefused');
    assert.equal((await refused('detach', id, 'vm-2')).type, 'AttachmentNotFound');
    assert.equal((await refused('detach', id, randomUUID())).type, 'AttachmentNotFound');
    assert.equal(await status(id), 'in-use', 'no refusal had an effect');
    await ferry('detach', id, 'vm-1');
    assert.deepEqual([await status(id), await exportsOf(attachment)], ['available', []]);
    assert.equal((await refused('detach', id)).type, 'AttachmentNotFound');
    assert.equal(await run('sh', '-c', `head -c 1M ${device(id)} | tr -d Z | wc -c`), '0');
    await ferry('delete', id);
  });

  test('an attachment that cannot be exported leaves the volume available', async () => {
    const id = await create();
    await run('lvchange', '--deltag', `ferry.volume=${id}`, `${group}/volume-${id}`);
    assert.equal((await refused('attach', id, 'vm-1', 'hv1')).type, 'NotOwned');
    assert.deepEqual(
      [await status(id), (await ferry<{ attachments: unknown[] }>('show', id)).attachments],
      ['available', []],
    );
    await run('lvchange', '--addtag', `ferry.volume=${id}`, `${group}/volume-${id}`);
    await ferry('delete', id);
  });

  test('after a loss of power the exports of attached volumes are back under their addresses', async () => {
    const id = await create();
    const other = await create();
    const { connection } = await ferry<Attached>('attach', id, 'vm-1', 'hv1');
    const second = await ferry<Attached>('attach', other, 'vm-2', 'hv1');
    await writeByNbd(connection, '0x41');
    await stage.storage[node]!.signal('SIGKILL');
    await stage.storage[node]!.start();
    assert.equal((await exportsOf(connection.exportName)).length, 1, 'a restart of the worker alone leaves them');
    await stage.nodes.powerOff(node);
    await stage.nodes.powerOn(node);
    await stage.storage[node]!.start();
    await poll(async () => (await exportsOf(connection.exportName)).length === 1);
    await writeByNbd(connection, '0x42');
    await writeByNbd(second.connection, '0x43');
    for (const each of [id, other]) await ferry('detach', each);
    assert.equal(await run('sh', '-c', `head -c 1M ${device(id)} | tr -d B | wc -c`), '0');
    for (const each of [id, other]) await ferry('delete', each);
  });
});

describe('snapshots', () => {
  test('keep the bytes of their moment, and their volume where and as large as it is', async () => {
    const id = await create();
    await scribble(device(id), 4);
    const then = await digest(`volume-${id}`);
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id, '--name', 'before');
    await scribble(device(id), 4);
    assert.equal(await digest(`_snapshot-${snapshot}`), then);
    assert.deepEqual(
      (await ferry<{ id: string; status: string }[]>('snapshot', 'list', '--volume', id)).map((s) => [s.id, s.status]),
      [[snapshot, 'available']],
    );
    assert.equal((await refused('migrate', id, server2)).type, 'VolumeHasSnapshots');
    assert.equal((await refused('delete', id)).type, 'VolumeHasSnapshots');
    assert.equal((await refused('extend', id, '2')).type, 'VolumeHasSnapshots');
    assert.equal((await refused('unmanage', id)).type, 'VolumeHasSnapshots');
    // Its extents have been another's: what is behind the snapshot's bytes must be zeros all the same.
    const { id: made } = await ferry<{ id: string }>('create', '--from-snapshot', snapshot, '--size', '96MiB');
    const { id: away } = await ferry<{ id: string }>('create', '--from-volume', id, '--host', server2);
    await run('cmp', `--bytes=${64 * mib}`, `/dev/${group}/_snapshot-${snapshot}`, device(made));
    await run('cmp', `--bytes=${32 * mib}`, `--ignore-initial=${64 * mib}:0`, device(made), '/dev/zero');
    const now = await digest(`volume-${id}`);
    assert.equal(await stage.sight.digest(['server2', 'lvmstorage-2', `volume-${away}`]), now);
    for (const copy of [made, away]) await ferry('delete', copy);
    await ferry('snapshot', 'delete', snapshot);
    assert.equal((await refused('snapshot', 'delete', snapshot)).type, 'SnapshotNotFound');
    assert.deepEqual(await ferry('snapshot', 'list', '--volume', id), []);
    await ferry('delete', id);
  });

  test('of an attached volume only with force', async () => {
    const id = await create();
    await ferry('attach', id, 'vm-1', 'hv1');
    assert.equal((await refused('snapshot', 'create', id)).type, 'VolumeStatusRefused');
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id, '--force');
    assert.equal(await status(id), 'in-use');
    await ferry('snapshot', 'delete', snapshot);
    await ferry('detach', id);
    await ferry('delete', id);
  });
});

describe('manage and unmanage', () => {
  const make = (name: string, ...size: string[]) =>
    run('lvcreate', '--yes', '--wipesignatures', 'n', '--zero', 'n', ...size, '--name', name, group);
  interface Found {
    name: string;
    sizeBytes: number;
    obstacle: string | null;
  }

  test('a logical volume becomes a volume and is let go again, its bytes untouched', async () => {
    await make('precious', '--size', '96m');
    await make('busy', '--size', '64m');
    const holder = await stage.nodes.spawn(node, ['flock', '--no-fork', `/dev/${group}/busy`, 'sleep', 'infinity']);
    await scribble(`/dev/${group}/precious`, 8, 80);
    const contents = await digest('precious');
    const found = Object.fromEntries((await ferry<Found[]>('discover', server1)).map((d) => [d.name, d]));
    assert.deepEqual([found['precious']?.sizeBytes, found['precious']?.obstacle], [96 * mib, null]);
    assert.match(found['busy']?.obstacle ?? '', /in use/);
    assert.equal((await refused('manage', server1, 'busy')).type, 'NotOwned');
    assert.equal((await refused('manage', server1, 'nothing')).type, 'DeviceMissing');
    for (const name of ['../etc/passwd', 'a/b', 'x'.repeat(101), '💾']) {
      assert.equal((await refused('manage', server1, name)).type, 'InvalidInput', name);
    }
    const { id, status: now } = await ferry<{ id: string; status: string }>(
      'manage',
      server1,
      'precious',
      '--name',
      'adopted',
      '--tenant',
      't1',
    );
    assert.equal(now, 'available');
    assert.equal(await digest(`volume-${id}`), contents);
    assert.equal((await refused('manage', server1, `volume-${id}`)).type, 'NotOwned');
    const handle = await stage.migrate(id);
    assert.equal(await stage.outcome(handle), 'success');
    assert.equal(await stage.checker.contents(id), contents);
    const left = await ferry<{ backEnd: string; deviceName: string }>('unmanage', id);
    assert.equal(left.backEnd, server2);
    assert.equal((await refused('show', id)).type, 'VolumeNotFound');
    const there = await stage.nodes.exec('server2', [
      'lvs',
      '--noheadings',
      '-o',
      'lv_tags',
      `lvmstorage-2/${left.deviceName}`,
    ]);
    assert.equal(there.stdout.trim(), '');
    const again = await ferry<{ id: string }>('manage', server2, left.deviceName);
    assert.equal(await stage.checker.contents(again.id), contents);
    await ferry('delete', again.id);
    await stage.nodes.kill(node, holder);
    await run('lvremove', '--yes', `${group}/busy`);
  });

  test('a logical volume that is not whole GiB becomes a volume, moves, grows and goes on its own back end again', async () => {
    await make('odd', '--size', '100m');
    await scribble(`/dev/${group}/odd`, 8, 92);
    const contents = await digest('odd');
    const found = (await ferry<Found[]>('discover', server1)).find(({ name }) => name === 'odd');
    assert.deepEqual([found?.sizeBytes, found?.obstacle], [100 * mib, null]);
    const { id, size } = await ferry<{ id: string; size: unknown }>('manage', server1, 'odd');
    assert.equal(size, '100MiB');
    assert.equal(await stage.outcome(await stage.migrate(id)), 'success');
    assert.equal(await stage.checker.contents(id), contents);
    assert.equal((await refused('extend', id, '96MiB')).type, 'InvalidInput');
    const uneven = await refused('extend', id, '101MiB');
    assert.deepEqual([uneven.type, await status(id)], ['SizeMismatch', 'available']);
    assert.match(
      uneven.message,
      /101 MiB are not whole extents of 4 MiB in lvmstorage-2; the next size that is: 104MiB/,
    );
    assert.equal((await ferry<{ size: unknown }>('extend', id, '104MiB')).size, '104MiB');
    const moved = await stage.migrate(id, { destination: server1 });
    assert.equal(await stage.outcome(moved), 'success');
    await ferry('delete', id);
  });
});
