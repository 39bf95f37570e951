import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { listeningServerCommand, pidFile } from '../../../../activities/storage/exports/server-command.ts';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import { createThinLvmDriver } from '../../../../activities/storage/lvm/thin-lvm-driver.ts';
import type { RunCommand } from '../../../../activities/storage/run-command.ts';
import { driverConformance, refuses } from '../driver-conformance.ts';
import { extentBytes, mib, startLvmNode, type LvmNode } from './lvm-node.ts';

const mine = 'ferry.volume=v1';
/** The checkout is in the node too, under the same path. */
const unmapDevice = join(import.meta.dirname, 'unmap-device.ts');

let node: LvmNode;
before(async () => {
  node = await startLvmNode([
    { name: 'lvm-1', sizeMib: 256 },
    { name: 'lvm-2', sizeMib: 256 },
  ]);
  await makePool('lvm-1', 'pool', 96);
});
after(() => node?.stop());

const run: RunCommand = (argv, options) => node.run(argv, options);
async function makePool(group: string, name: string, sizeMib: number): Promise<void> {
  await run(['lvcreate', '--yes', '--type', 'thin-pool', '--size', `${sizeMib}m`, '--name', name, group]);
}
const pool = (volumeGroup: string, thinPool: string, { ratio = 1, runner = run } = {}) =>
  createThinLvmDriver({
    volumeGroup,
    thinPool,
    maxOverSubscriptionRatio: ratio,
    run: runner,
    lockDirectory: node.lockDirectory,
  });

driverConformance('thin lvm', async () => ({
  driver: pool('lvm-1', 'pool'),
  gone: pool('lvm-1', 'not-there'),
  run,
  tellsUnwritten: true,
  unitBytes: extentBytes,
  makeForeign: async (name, sizeBytes) => {
    await run(['lvcreate', '--type', 'thin', '--thinpool', 'pool', `-V${sizeBytes}b`, '--name', name, 'lvm-1']);
  },
  removeForeign: async (name) => {
    await run(['lvremove', '--yes', `lvm-1/${name}`]);
  },
  holdOpen: (path) => node.holdOpen(path),
  close: async () => {},
}));

describe('a thin LVM back end', () => {
  const spec = { name: 'volume-1', sizeBytes: 2 * extentBytes, tags: [mine], zero: true };
  const named = async (driver: { list(): Promise<{ name: string }[]> }) =>
    (await driver.list()).map(({ name }) => name);
  const status = async (device: string) => (await run(['dmsetup', 'status', device])).stdout;
  /** Bytes that a volume has taken. */
  const mapped = async (device: string) => Number((await status(device)).split(' ')[3]) * 512;
  const scribble = (path: string, length: number) =>
    run(['dd', 'if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${length / mib}`, 'oflag=direct', 'status=none']);

  before(() => makePool('lvm-2', 'pool-a', 64));
  afterEach(async () => {
    for (const { name } of await pool('lvm-2', 'pool-a').list()) await run(['lvremove', '--yes', `lvm-2/${name}`]);
  });

  test('what is made, extended and snapshot takes no room; nor does a second try write any zeros', async () => {
    const driver = pool('lvm-2', 'pool-a', { ratio: 4 });
    for (const zero of [true, false]) {
      assert.equal((await driver.create({ ...spec, zero })).readsZero, true);
      assert.equal(await mapped('lvm--2-volume--1'), 0);
    }
    const { path } = await driver.create(spec);
    await scribble(path, mib);
    await driver.extend('volume-1', 8 * extentBytes, { tags: [mine] });
    await driver.snapshot('volume-1', '_snapshot-1', ['ferry.snapshot=s1']);
    assert.equal(await mapped('lvm--2-volume--1'), mib);
    assert.match(await status('lvm--2-pool--a-tpool'), / 16\/1024 /, 'the snapshot shares what there is');
    await driver.extend('volume-1', 12 * extentBytes, { tags: [mine] });
    assert.equal((await driver.find('_snapshot-1'))!.sizeBytes, 8 * extentBytes);
    assert.equal(await mapped('lvm--2-volume--1'), mib);
  });

  test('bytes that it had when it was larger do not show when it is extended', async () => {
    const driver = pool('lvm-2', 'pool-a');
    const { path } = await driver.create({ ...spec, sizeBytes: 8 * extentBytes });
    await scribble(path, 8 * extentBytes);
    await run(['lvreduce', '--yes', '--force', '--size', `${extentBytes}b`, 'lvm-2/volume-1']);
    await driver.extend('volume-1', 8 * extentBytes, { tags: [mine] });
    await run(['cmp', `--bytes=${7 * extentBytes}`, `--ignore-initial=${extentBytes}:0`, '--', path, '/dev/zero']);
    assert.equal(await mapped('lvm--2-volume--1'), extentBytes);
  });

  test('a volume that is long being cleared keeps no other from being made', async () => {
    const { promise: clearing, resolve: clears } = Promise.withResolvers<void>();
    const { promise: otherIsMade, resolve: letGo } = Promise.withResolvers<void>();
    const runner = node.spied(async ([program]) => {
      if (program !== 'blkdiscard') return;
      clears();
      await otherIsMade;
    });
    await pool('lvm-2', 'pool-a').create(spec);
    const extending = pool('lvm-2', 'pool-a', { runner }).extend('volume-1', 4 * extentBytes, { tags: [mine] });
    try {
      await clearing;
      await pool('lvm-2', 'pool-a').create({ ...spec, name: 'volume-2' });
    } finally {
      letGo();
      await extending;
    }
    assert.deepEqual(await named(pool('lvm-2', 'pool-a')), ['volume-1', 'volume-2']);
  });

  test('an export of it takes discards, as a guest’s fstrim sends them, and the pool gets the room back', async () => {
    const { path } = await pool('lvm-2', 'pool-a').create(spec);
    const settings = {
      exportName: 'volume-1',
      path,
      writable: true,
      address: '127.0.0.1',
      port: 10_809,
      tlsDirectory: null,
      peers: null,
    };
    await run(listeningServerCommand('/run', settings, 'threads'));
    try {
      const guest = (command: string) => run(['qemu-io', '-f', 'raw', '-c', command, 'nbd://127.0.0.1:10809/volume-1']);
      await guest('write -P 7 0 4M');
      assert.equal(await mapped('lvm--2-volume--1'), 4 * mib);
      await guest('discard 1M 2M');
      assert.equal(await mapped('lvm--2-volume--1'), 2 * mib);
    } finally {
      await run([
        'sh',
        '-c',
        'pid=$(cat "$1"); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done',
        'sh',
        pidFile('/run', 'volume-1'),
      ]);
    }
  });

  test('zeros that were written take room, until they are unmapped; its bytes stay', async () => {
    const driver = pool('lvm-2', 'pool-a');
    const { path, sizeBytes } = await driver.create(spec);
    const write = (from: string, count: number, seek: number) =>
      run([
        'dd',
        `if=${from}`,
        `of=${path}`,
        'bs=1M',
        `count=${count}`,
        `seek=${seek}`,
        'oflag=direct',
        'conv=notrunc',
      ]);
    await write('/dev/zero', sizeBytes / mib, 0);
    await write('/dev/urandom', 2, 3);
    assert.equal(await mapped('lvm--2-volume--1'), sizeBytes);
    const digest = async () => (await run(['sha256sum', '--', path])).stdout;
    const before = await digest();
    const { stdout } = await run([process.execPath, unmapDevice, path, String(sizeBytes)]);
    assert.equal(stdout.trim(), 'finished');
    assert.equal(await mapped('lvm--2-volume--1'), 2 * mib);
    assert.equal(await digest(), before);
    assert.equal(driver.zerosTakeRoom, true);
  });

  test('promises no more than it has, unless it is told so, and then no more than that', async () => {
    const large = { ...spec, sizeBytes: 48 * mib };
    await pool('lvm-2', 'pool-a').create(large);
    await refuses(pool('lvm-2', 'pool-a').create({ ...large, name: 'volume-2' }), 'InsufficientSpace');
    const more = pool('lvm-2', 'pool-a', { ratio: 1.5 });
    const { totalBytes, freeBytes } = await more.capacity();
    assert.deepEqual({ totalBytes, freeBytes }, { totalBytes: 96 * mib, freeBytes: 48 * mib });
    await more.create({ ...large, name: 'volume-2' });
    await refuses(more.create({ ...large, name: 'volume-3' }), 'InsufficientSpace');
  });

  test('says so when it has run full, and takes volumes again when there is room', async () => {
    const driver = pool('lvm-2', 'pool-a', { ratio: 2 });
    const { path } = await driver.create({ ...spec, sizeBytes: 80 * mib });
    await run(['lvchange', '--errorwhenfull', 'y', 'lvm-2/pool-a']);
    assert.equal(await driver.exhaustion(), null);
    await assert.rejects(scribble(path, 80 * mib), /No space left/);
    const why = await driver.exhaustion();
    assert.equal(why?.type, 'InsufficientSpace');
    assert.match(why.message, /thin pool lvm-2\/pool-a .* 100 % of its data .*: lvextend --size /);
    await refuses(driver.create({ ...spec, name: 'volume-2' }), 'InsufficientSpace');
    await driver.delete('volume-1', { tags: [mine] });
    assert.equal(await driver.exhaustion(), null);
    await driver.create({ ...spec, name: 'volume-2' });
  });

  test('back ends of one group see nothing of each other, and what is in a pool that is none is not overlooked', async () => {
    const thin = pool('lvm-2', 'pool-a');
    const beside = { volumeGroup: 'lvm-2', run, lockDirectory: node.lockDirectory };
    const thick = createLvmDriver({ ...beside, otherPools: ['pool-a'] });
    await makePool('lvm-2', 'unknown', 16);
    await run(['lvcreate', '--thinpool', 'unknown', '-V8m', '--name', 'inside', 'lvm-2']);
    await thin.create({ ...spec, name: 'thin-1' });
    await thick.create({ ...spec, name: 'thick-1', zero: false });
    try {
      assert.deepEqual(await named(thin), ['thin-1']);
      assert.deepEqual((await named(thick)).toSorted(), ['inside', 'thick-1', 'unknown']);
      assert.deepEqual(await thin.strangers(), []);
      const obstacles = (await thick.strangers()).map(({ device, obstacle }) => `${device.name}: ${obstacle}`);
      assert.deepEqual(obstacles.toSorted(), [
        'inside: it is in the thin pool unknown, which is no back end; configure one with that thinPool',
        'unknown: it is a pool or another part of lvm2, not a volume',
      ]);
      for (const [driver, name] of [
        [thick, 'thin-1'],
        [thin, 'thick-1'],
        [thick, 'inside'],
      ] as const) {
        assert.equal(await driver.find(name), null);
        await driver.delete(name, { tags: [mine] });
        await refuses(driver.create({ ...spec, name, zero: false }), 'DeviceExists', name);
        await refuses(driver.retag(name, { tags: [] }, { add: ['x'], remove: [] }), 'DeviceMissing', name);
        await refuses(driver.extend(name, 4 * extentBytes, { tags: [mine] }), 'DeviceMissing', name);
        await refuses(driver.snapshot(name, '_snapshot-1', [mine]), 'DeviceMissing', name);
      }
      await refuses(thick.adopt('inside', 'volume-9', [mine]), 'NotOwned');
      await refuses(thick.adopt('thin-1', 'volume-9', [mine]), 'DeviceMissing');
      assert.deepEqual(await named(thin), ['thin-1'], 'nobody else’s delete took it away');
    } finally {
      await run(['lvremove', '--yes', 'lvm-2/unknown', 'lvm-2/thick-1']);
    }
  });

  test('a pool that does not zero its chunks takes nothing, one that is not active is not available; both say what to do', async () => {
    const driver = pool('lvm-2', 'pool-a');
    await run(['lvchange', '--zero', 'n', 'lvm-2/pool-a']);
    assert.match((await driver.capacity()).placementFault ?? 'well', /lvchange --zero y lvm-2\/pool-a/);
    await refuses(driver.create(spec), 'BackEndUnavailable');
    await run(['lvchange', '--zero', 'y', 'lvm-2/pool-a']);
    await run(['lvchange', '--activate', 'n', 'lvm-2/pool-a']);
    await assert.rejects(driver.capacity(), /lvchange --activate y lvm-2\/pool-a/);
    await run(['lvchange', '--activate', 'y', 'lvm-2/pool-a']);
    await driver.create(spec);
  });

  test('a pool whose metadata could not be written takes nothing, and says what to do', async () => {
    const driver = pool('lvm-2', 'pool-a');
    const { path } = await driver.create({ ...spec, sizeBytes: 8 * extentBytes });
    await scribble(path, mib);
    const meta = 'lvm--2-pool--a_tmeta';
    const { stdout: table } = await run(['dmsetup', 'table', meta]);
    const put = (text: string) =>
      run([
        'sh',
        '-c',
        'dmsetup suspend --noflush "$1" && dmsetup load "$1" --table "$2"; dmsetup resume "$1"',
        'sh',
        meta,
        text,
      ]);
    await put(`0 ${table.split(' ')[1]} error`);
    await run([
      'sh',
      '-c',
      `dd if=/dev/urandom of=${path} bs=1M seek=4 count=4 oflag=direct conv=notrunc,fsync || true`,
    ]);
    await put(table);
    // By how far it came it has failed, or can still be read.
    const why = await driver.capacity().then(
      ({ placementFault }) => placementFault ?? 'well',
      (error: Error) => error.message,
    );
    assert.match(why, /thin pool lvm-2\/pool-a.*lvconvert --repair lvm-2\/pool-a/);
    await refuses(driver.create({ ...spec, name: 'volume-2' }), 'BackEndUnavailable');
    // As told: what is in it is there again.
    await run(['lvchange', '--activate', 'n', 'lvm-2/volume-1']);
    await run(['lvchange', '--activate', 'n', 'lvm-2/pool-a']);
    await run(['lvconvert', '--yes', '--repair', 'lvm-2/pool-a']);
    await run(['lvchange', '--activate', 'y', 'lvm-2/pool-a', 'lvm-2/volume-1']);
    await driver.capacity();
    await driver.delete('volume-1', { tags: [mine] });
  });
});
