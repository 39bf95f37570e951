import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { foreignUsers } from '../../../../activities/storage/device-users.ts';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import type { RunCommand } from '../../../../activities/storage/run-command.ts';
import { driverConformance, refuses } from '../driver-conformance.ts';
import { extentBytes, startLvmNode, type LvmNode } from './lvm-node.ts';

const mine = 'ferry.volume=v1';

let node: LvmNode;
before(async () => {
  node = await startLvmNode([
    { name: 'lvm-1', sizeMib: 128 },
    { name: 'lvm-2', sizeMib: 128 },
  ]);
});
after(() => node?.stop());

const run: RunCommand = (argv, options) => node.run(argv, options);
const spied: LvmNode['spied'] = (hook) => node.spied(hook);
const driverOf = (volumeGroup: string, runner: RunCommand = run) =>
  createLvmDriver({ volumeGroup, run: runner, lockDirectory: node.lockDirectory });

driverConformance('lvm', async () => ({
  driver: driverOf('lvm-1'),
  gone: driverOf('not-there'),
  run,
  unitBytes: extentBytes,
  makeForeign: async (name, sizeBytes) => {
    await run([
      'lvcreate',
      '--yes',
      '--zero',
      'n',
      '--wipesignatures',
      'n',
      '--size',
      `${sizeBytes}b`,
      '--name',
      name,
      'lvm-1',
    ]);
  },
  removeForeign: async (name) => {
    await run(['lvremove', '--yes', `lvm-1/${name}`]);
  },
  holdOpen: (path) => node.holdOpen(path),
  close: async () => {},
}));

describe('an LVM back end', () => {
  const spec = { name: 'volume-1', sizeBytes: 2 * extentBytes, tags: [mine], zero: true };

  afterEach(async () => {
    for (const { name } of await driverOf('lvm-2').list()) await run(['lvremove', '--yes', `lvm-2/${name}`]);
  });

  /** Makes the old bytes of everything in lvm-2 show. */
  async function leaveStaleBytes(): Promise<void> {
    const { path, sizeBytes } = await driverOf('lvm-2').create({
      ...spec,
      name: 'old',
      sizeBytes: 16 * extentBytes,
      zero: false,
    });
    await run([
      'dd',
      'if=/dev/urandom',
      `of=${path}`,
      'bs=1M',
      `count=${sizeBytes}`,
      'iflag=count_bytes',
      'conv=fsync',
      'status=none',
    ]);
    await driverOf('lvm-2').delete('old', { tags: [mine] });
  }
  async function readsZero(path: string): Promise<boolean> {
    return run(['cmp', `--bytes=${spec.sizeBytes}`, '--', path, '/dev/zero']).then(
      () => true,
      () => false,
    );
  }

  test('a size that is not whole extents is refused before anything is made', async () => {
    const { freeBytes } = await driverOf('lvm-2').capacity();
    await refuses(driverOf('lvm-2').create({ ...spec, sizeBytes: extentBytes + 512 }), 'SizeMismatch');
    assert.equal((await driverOf('lvm-2').capacity()).freeBytes, freeBytes);
  });

  for (const killedBefore of ['blkdiscard', 'sync', 'lvchange']) {
    test(`a create killed before ${killedBefore} is not taken for ready by the next one`, async () => {
      await leaveStaleBytes();
      const dies = spied(async ([program]) => {
        if (program === killedBefore) throw new Error('the worker dies here');
      });
      await assert.rejects(driverOf('lvm-2', dies).create(spec), /dies here/);
      assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags.toSorted(), [mine, 'ferry.zeroing']);
      const made = await driverOf('lvm-2').create(spec);
      assert.deepEqual([made.readsZero, made.tags], [true, [mine]]);
      assert.equal(await readsZero(made.path), true);
      assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, [mine]);
    });
  }

  for (const killedBefore of ['lvextend', 'blkdiscard', 'sync', 'lvchange --deltag']) {
    test(`an extend killed before ${killedBefore} is not taken for done by the next one`, async () => {
      await leaveStaleBytes();
      const { path } = await driverOf('lvm-2').create({ ...spec, sizeBytes: extentBytes });
      const dies = spied(async (argv) => {
        if (argv.join(' ').startsWith(killedBefore)) throw new Error('the worker dies here');
      });
      await assert.rejects(driverOf('lvm-2', dies).extend('volume-1', spec.sizeBytes, { tags: [mine] }), /dies here/);
      await driverOf('lvm-2').extend('volume-1', spec.sizeBytes, { tags: [mine] });
      const found = await driverOf('lvm-2').find('volume-1');
      assert.deepEqual([found?.sizeBytes, found?.tags], [spec.sizeBytes, [mine]]);
      assert.equal(await readsZero(path), true);
    });
  }

  test('a device with a snapshot is not extended', async () => {
    await driverOf('lvm-2').create(spec);
    await driverOf('lvm-2').snapshot('volume-1', '_snapshot-1', ['ferry.snapshot=s1']);
    await refuses(driverOf('lvm-2').extend('volume-1', 4 * extentBytes, { tags: [mine] }), 'VolumeHasSnapshots');
    await driverOf('lvm-2').delete('_snapshot-1', { tags: ['ferry.snapshot=s1'] });
    await driverOf('lvm-2').extend('volume-1', 4 * extentBytes, { tags: [mine] });
  });

  test('snapshots, what has them, pools and what is not active are strangers that cannot be adopted', async () => {
    await run(['lvcreate', '--yes', '--wipesignatures', 'n', '--size', '8m', '--name', 'origin', 'lvm-2']);
    await run(['lvcreate', '--yes', '--snapshot', '--size', '8m', '--name', 'snap', 'lvm-2/origin']);
    await run(['lvcreate', '--yes', '--type', 'thin-pool', '--size', '8m', '--name', 'pool', 'lvm-2']);
    await run(['lvcreate', '--yes', '--wipesignatures', 'n', '--size', '8m', '--name', 'asleep', 'lvm-2']);
    await run(['lvchange', '--activate', 'n', 'lvm-2/asleep']);
    const strangers = await driverOf('lvm-2').strangers();
    const obstacles = Object.fromEntries(strangers.map(({ device, obstacle }) => [device.name, obstacle]));
    assert.match(obstacles['origin'] ?? '', /has snapshots/);
    assert.match(obstacles['snap'] ?? '', /is a snapshot/);
    assert.match(obstacles['pool'] ?? '', /is a pool/);
    assert.match(obstacles['asleep'] ?? '', /not active/);
    for (const name of Object.keys(obstacles))
      await refuses(driverOf('lvm-2').adopt(name, 'volume-9', [mine]), 'NotOwned', name);
    await run(['lvremove', '--yes', 'lvm-2/snap']);
  });

  test('what was zeroed and handed out is not zeroed again by an earlier attempt that wakes up late', async () => {
    await leaveStaleBytes();
    let wakeUp = () => {};
    const asleep = new Promise<void>((resolve) => (wakeUp = resolve));
    let atZeroing = () => {};
    const reached = new Promise<void>((resolve) => (atZeroing = resolve));
    const slow = driverOf(
      'lvm-2',
      spied(async ([program]) => {
        if (program !== 'blkdiscard') return;
        atZeroing();
        await asleep;
      }),
    ).create(spec);
    await reached;
    const second = driverOf('lvm-2')
      .create(spec)
      .then(async (made) => {
        await run(['dd', 'if=/dev/urandom', `of=${made.path}`, 'bs=1M', 'count=8', 'conv=fsync', 'status=none']);
        return made;
      });
    wakeUp();
    assert.equal((await slow).readsZero, true);
    assert.equal((await second).readsZero, false, 'the first attempt made it');
    assert.equal(await readsZero((await second).path), false);
  });

  test('a device that an earlier worker’s zeroing still holds is in use', async () => {
    const dies = spied(async ([program]) => {
      if (program === 'blkdiscard') throw new Error('the worker dies here');
    });
    await assert.rejects(driverOf('lvm-2', dies).create(spec));
    // Opened exclusively and kept, as by a blkdiscard whose worker is gone.
    await run(['dmsetup', 'create', 'holder', '--table', `0 ${spec.sizeBytes / 512} linear /dev/lvm-2/volume-1 0`]);
    try {
      await refuses(driverOf('lvm-2').create(spec), 'DeviceInUse');
    } finally {
      await run(['dmsetup', 'remove', 'holder']);
    }
    assert.equal((await driverOf('lvm-2').create(spec)).readsZero, true);
  });

  test('a failed zeroing keeps the device from being handed out', async () => {
    const fails = spied(async ([program]) => {
      if (program === 'blkdiscard') await node.nodes.fault(node.name, 'lvm-2', 'volume-1', { kind: 'error' });
    });
    await refuses(driverOf('lvm-2', fails).create(spec), 'ToolFailed');
    await node.nodes.fault(node.name, 'lvm-2', 'volume-1', { kind: 'heal' });
    assert.equal((await driverOf('lvm-2').create(spec)).readsZero, true);
  });

  test('a device that is not active is activated by a repeated create', async () => {
    const { path } = await driverOf('lvm-2').create(spec);
    await run(['lvchange', '--activate', 'n', 'lvm-2/volume-1']);
    await assert.rejects(run(['stat', path]));
    await driverOf('lvm-2').create(spec);
    await run(['stat', path]);
  });

  test('only lvm2 itself decides whether an open device may go', async () => {
    const { path } = await driverOf('lvm-2').create(spec);
    let release = async () => {};
    const late = driverOf(
      'lvm-2',
      spied(async ([program]) => {
        if (program === 'lvremove') release = await node.holdOpen(path);
      }),
    );
    await refuses(late.delete('volume-1', { tags: [mine] }), 'DeviceInUse');
    await release();
    await driverOf('lvm-2').delete('volume-1', { tags: [mine] });
  });

  describe('somebody else’s snapshot', () => {
    const snapshots = async () => (await driverOf('lvm-2').surroundings('volume-1'))?.snapshots;
    const snap = (name: string) =>
      run(['lvcreate', '--yes', '--snapshot', '--size', '4m', '--name', name, 'lvm-2/volume-1']);
    afterEach(async () => {
      for (const { name } of await driverOf('lvm-2').list())
        if (name !== 'volume-1') await run(['lvremove', '--yes', `lvm-2/${name}`]);
    });

    test('keeps a device from being deleted, and is told by name', async () => {
      await driverOf('lvm-2').create(spec);
      assert.deepEqual(await snapshots(), []);
      await snap('nightly-backup');
      await snap('before-upgrade');
      assert.deepEqual((await snapshots())?.toSorted(), ['before-upgrade', 'nightly-backup']);
      await assert.rejects(driverOf('lvm-2').delete('volume-1', { tags: [mine] }), /before-upgrade|nightly-backup/);
      assert.equal((await snapshots())?.length, 2);
    });

    test('that is made while the device is being deleted is not deleted with it', async () => {
      await driverOf('lvm-2').create(spec);
      const late = driverOf(
        'lvm-2',
        spied(async ([program]) => {
          if (program === 'lvremove') await snap('just-in-time');
        }),
      );
      await refuses(late.delete('volume-1', { tags: [mine] }), 'VolumeHasSnapshots');
      assert.deepEqual(await snapshots(), ['just-in-time']);
    });

    test('that was let go is taken back as one of its origin, and of nothing else', async () => {
      const driver = driverOf('lvm-2');
      await driver.create(spec);
      await driver.create({ ...spec, name: 'volume-2' });
      await driver.snapshot('volume-1', '_snapshot-1', ['ferry.snapshot=s1']);
      await driver.disown('_snapshot-1', '_snapshot-1', 'ferry.snapshot=s1');
      const again = ['_snapshot-1', '_snapshot-2', ['ferry.snapshot=s2']] as const;
      await refuses(driver.adopt(...again), 'NotOwned');
      await refuses(driver.adopt(...again, { snapshotOf: 'volume-2' }), 'NotOwned');
      await refuses(
        driver.adopt('volume-2', '_snapshot-2', ['ferry.snapshot=s2'], { snapshotOf: 'volume-1' }),
        'NotOwned',
      );
      for (let i = 0; i < 2; i += 1) await driver.adopt(...again, { snapshotOf: 'volume-1' });
      assert.deepEqual((await driver.find('_snapshot-2'))?.tags, ['ferry.snapshot=s2']);
      assert.deepEqual(await snapshots(), ['_snapshot-2']);
      await driver.delete('_snapshot-2', { tags: ['ferry.snapshot=s2'] });
    });
  });

  test('a device-mapper device on top of a volume is one of its users, and may write although the volume is held', async () => {
    const { path } = await driverOf('lvm-2').create(spec);
    const users = async () => foreignUsers((await driverOf('lvm-2').surroundings('volume-1'))?.users ?? []);
    await run(['dmsetup', 'create', 'guestvg-root', '--table', `0 2048 linear ${path} 0`]);
    try {
      await driverOf('lvm-2').hold('volume-1', { tags: [mine] }, 'm1');
      await run(['dd', 'if=/dev/urandom', 'of=/dev/mapper/guestvg-root', 'bs=4k', 'count=1', 'oflag=direct']);
      assert.equal((await users()).length, 1);
    } finally {
      await run(['dmsetup', 'remove', 'guestvg-root']);
    }
    assert.deepEqual(await users(), []);
  });

  test('a device that was not active is so again after a hold, unless somebody is to use it', async () => {
    const { path } = await driverOf('lvm-2').create(spec);
    const active = async () => (await driverOf('lvm-2').surroundings('volume-1'))?.active;
    for (const ended of ['release', 'makeReady'] as const) {
      await run(['lvchange', '--activate', 'n', 'lvm-2/volume-1']);
      assert.equal(await active(), false);
      for (let i = 0; i < 2; i += 1) await driverOf('lvm-2').hold('volume-1', { tags: [mine] }, 'm1');
      assert.equal((await run(['blockdev', '--getro', path])).stdout.trim(), '1');
      if (ended === 'release') await driverOf('lvm-2').release('volume-1', 'm1');
      else await driverOf('lvm-2').makeReady('volume-1');
      assert.equal(await active(), ended === 'makeReady');
      assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, [mine]);
    }
    assert.equal((await run(['blockdev', '--getro', path])).stdout.trim(), '0');
  });

  for (const [diesAt, readOnly] of [
    ['lvchange --permission r', '0'],
    ['lvchange --permission rw', '1'],
    ['lvchange --deltag', '0'],
  ] as const) {
    test(`a hold or release that dies before ${diesAt} can be repeated`, async () => {
      const { path } = await driverOf('lvm-2').create(spec);
      const dies = spied(async (argv) => {
        if (argv.join(' ').startsWith(`${diesAt} --`) || argv.join(' ').startsWith(`${diesAt} ferry`))
          throw new Error('the worker dies here');
      });
      await assert.rejects(async () => {
        await driverOf('lvm-2', dies).hold('volume-1', { tags: [mine] }, 'm1');
        await driverOf('lvm-2', dies).release('volume-1', 'm1');
      }, /dies here/);
      assert.equal((await run(['blockdev', '--getro', path])).stdout.trim(), readOnly);
      assert.ok((await driverOf('lvm-2').find('volume-1'))?.tags.includes('ferry.held=m1'));
      await driverOf('lvm-2').hold('volume-1', { tags: [mine] }, 'm1');
      await driverOf('lvm-2').release('volume-1', 'm1');
      assert.equal((await run(['blockdev', '--getro', path])).stdout.trim(), '0');
      assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, [mine]);
    });
  }

  test('a volume that an administrator made read-only is not marked, and stays so', async () => {
    const { path } = await driverOf('lvm-2').create(spec);
    await run(['lvchange', '--permission', 'r', 'lvm-2/volume-1']);
    await driverOf('lvm-2').hold('volume-1', { tags: [mine] }, 'm1');
    await driverOf('lvm-2').release('volume-1', 'm1');
    await driverOf('lvm-2').makeReady('volume-1');
    assert.equal((await run(['blockdev', '--getro', path])).stdout.trim(), '1');
    assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, [mine]);
  });

  test('a device that loses its tag while it is being deleted stays', async () => {
    await driverOf('lvm-2').create(spec);
    const late = driverOf(
      'lvm-2',
      spied(async ([program]) => {
        if (program === 'lvremove')
          await driverOf('lvm-2').retag('volume-1', { tags: [] }, { add: ['ferry.volume=v2'], remove: [mine] });
      }),
    );
    await refuses(late.delete('volume-1', { tags: [mine] }), 'NotOwned');
    assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, ['ferry.volume=v2']);
  });

  test('room that goes while a device is made is told as no room', async () => {
    const sizeBytes = (await driverOf('lvm-2').capacity()).freeBytes;
    const late = driverOf(
      'lvm-2',
      spied(async (argv) => {
        if (argv[0] === 'lvcreate')
          await run(['lvcreate', '--yes', '--wipesignatures', 'n', '--size', '4m', '--name', 'quicker', 'lvm-2']);
      }),
    );
    await refuses(late.create({ ...spec, sizeBytes, zero: false }), 'InsufficientSpace');
    assert.deepEqual(
      (await driverOf('lvm-2').list()).map(({ name }) => name),
      ['quicker'],
    );
  });

  test('a device survives a loss of power with its tags, and its create can be repeated', async () => {
    await driverOf('lvm-2').create(spec);
    await node.nodes.powerOff(node.name);
    await assert.rejects(driverOf('lvm-2').find('volume-1'));
    await node.nodes.powerOn(node.name);
    assert.deepEqual((await driverOf('lvm-2').find('volume-1'))?.tags, [mine]);
    const again = await driverOf('lvm-2').create(spec);
    assert.equal(again.readsZero, false);
    assert.equal(await readsZero(again.path), true, 'what was zeroed before the power went is zero on the medium');
  });

  test('a group that has been exported is not there', async () => {
    const driver = driverOf('lvm-2');
    await run(['vgchange', '--activate', 'n', 'lvm-2']);
    await run(['vgexport', 'lvm-2']);
    try {
      await refuses(driver.capacity(), 'BackEndUnavailable');
      await refuses(driver.create(spec), 'BackEndUnavailable');
      await refuses(driver.find('volume-1'), 'BackEndUnavailable');
      await refuses(driver.list(), 'BackEndUnavailable');
    } finally {
      await run(['vgimport', 'lvm-2']);
    }
  });
});
