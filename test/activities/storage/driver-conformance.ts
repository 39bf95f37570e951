import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test as it } from 'node:test';
import { foreignUsers } from '../../../activities/storage/device-users.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import { exitCodeOf, type RunCommand } from '../../../activities/storage/run-command.ts';
import { FerryError, type FerryErrorType } from '../../../model/errors.ts';

/** A back end under test, and what its administrator or a stranger could do to it beside the driver. */
export interface BackEndUnderTest {
  readonly driver: VolumeDriver;
  /** The same kind of driver over a back end that is not there. */
  readonly gone: VolumeDriver;
  /** Runs programs where the devices are. */
  readonly run: RunCommand;
  /** Whether a device tells that nothing has been written to it since it was made. */
  readonly tellsUnwritten?: boolean;
  /** A device size that needs no rounding; the back end holds at least 16 of it, all free. */
  readonly unitBytes: number;
  /** Makes a device without the driver, and so without tags. */
  makeForeign(name: string, sizeBytes: number): Promise<void>;
  removeForeign(name: string): Promise<void>;
  /** Keeps the device open until the returned function is called. */
  holdOpen(path: string): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** What every driver must do; see the contract in driver.ts. */
export function driverConformance(name: string, open: () => Promise<BackEndUnderTest>): void {
  describe(`the ${name} driver`, () => conformance(open));
}

function conformance(open: () => Promise<BackEndUnderTest>): void {
  let backEnd: BackEndUnderTest;
  let driver: VolumeDriver;
  let unit: number;
  const mine = 'ferry.migration=a1';
  const tags = ['ferry.volume=v1', mine];

  before(async () => {
    backEnd = await open();
    driver = backEnd.driver;
    unit = backEnd.unitBytes;
  });
  afterEach(async () => {
    for (const {
      name,
      tags: [tag],
    } of await driver.list()) {
      if (tag === undefined) await backEnd.removeForeign(name);
      else await driver.delete(name, { tags: [tag] });
    }
  });
  after(() => backEnd?.close());

  const create = (name: string, changes: Partial<Parameters<VolumeDriver['create']>[0]> = {}) =>
    driver.create({ name, sizeBytes: 2 * unit, tags, zero: false, ...changes });
  const names = async () => (await driver.list()).map(({ name }) => name).toSorted();

  async function readsZero(path: string, sizeBytes: number): Promise<boolean> {
    try {
      await backEnd.run(['cmp', `--bytes=${sizeBytes}`, '--', path, '/dev/zero']);
      return true;
    } catch (error) {
      if (exitCodeOf(error) === 1) return false;
      throw error;
    }
  }

  /** Bytes without a zero block, on the medium. */
  async function scribble(path: string, sizeBytes: number): Promise<void> {
    await backEnd.run([
      'dd',
      'if=/dev/urandom',
      `of=${path}`,
      'bs=1M',
      `count=${sizeBytes}`,
      'iflag=count_bytes',
      'conv=notrunc,fsync',
      'status=none',
    ]);
  }

  /** Everything that is free shows other volumes' old bytes afterwards, as far as this kind of back end shows such at all. */
  async function fillWithStaleBytes(): Promise<void> {
    const sizeBytes = 16 * unit;
    const { path } = await create('old', { sizeBytes });
    await scribble(path, sizeBytes);
    await driver.delete('old', { tags: [mine] });
  }

  it('makes a device of exactly the size asked for, with its tags, and finds it', async () => {
    const made = await create('volume-1');
    assert.equal(made.sizeBytes, 2 * unit);
    const { readsZero: _, ...device } = made;
    const found = await driver.find('volume-1');
    assert.deepEqual({ ...found, tags: found?.tags.toSorted() }, { ...device, tags: tags.toSorted() });
    assert.equal(await driver.find('volume-2'), null);
    await scribble(made.path, made.sizeBytes);
    assert.equal(Number((await backEnd.run(['sh', '-c', 'wc -c <"$0"', made.path])).stdout), 2 * unit);
  });

  it('answers a repeated create with the device as it is', async () => {
    const first = await create('volume-1');
    await scribble(first.path, first.sizeBytes);
    for (const zero of [false, true]) {
      const again = await create('volume-1', { zero });
      assert.equal(again.path, first.path);
      assert.equal(again.readsZero, false, 'it may have been written to since it was made');
      assert.equal(await readsZero(again.path, unit), false, 'its bytes are left alone');
    }
  });

  it('makes one device when two creates run at once', async () => {
    for (const zero of [false, true]) {
      const both = await Promise.all([create('volume-1', { zero }), create('volume-1', { zero })]);
      assert.equal(both[0].path, both[1].path);
      assert.deepEqual(await names(), ['volume-1']);
      assert.ok(
        backEnd.tellsUnwritten || both.filter((made) => made.readsZero).length <= 1,
        'only the call that made it knows that it reads as zeros',
      );
      await driver.delete('volume-1', { tags: [mine] });
    }
  });

  it('makes several devices at once', async () => {
    const wanted = ['volume-1', 'volume-2', 'volume-3', 'volume-4'];
    await Promise.all(wanted.map((name) => create(name, { zero: true })));
    assert.deepEqual(await names(), wanted);
    await Promise.all(wanted.map((name) => driver.delete(name, { tags: [mine] })));
    assert.deepEqual(await names(), []);
  });

  it('leaves a stranger of the same name untouched', async () => {
    await backEnd.makeForeign('volume-1', 2 * unit);
    const foreign = (await driver.find('volume-1'))!;
    await scribble(foreign.path, unit);
    await refuses(create('volume-1', { zero: true }), 'DeviceExists');
    await refuses(driver.delete('volume-1', { tags: [mine] }), 'NotOwned');
    assert.deepEqual(await driver.find('volume-1'), foreign);
    assert.equal(await readsZero(foreign.path, unit), false);
  });

  it('leaves another migration’s device untouched', async () => {
    const other = await create('volume-1', { tags: ['ferry.volume=v1', 'ferry.migration=b2'] });
    await scribble(other.path, unit);
    await refuses(create('volume-1'), 'DeviceExists');
    await refuses(driver.delete('volume-1', { tags: [mine] }), 'NotOwned');
    assert.equal(await readsZero(other.path, unit), false);
  });

  it('refuses a device of ours that has another size', async () => {
    await create('volume-1');
    await refuses(create('volume-1', { sizeBytes: 3 * unit }), 'SizeMismatch');
    assert.equal((await driver.find('volume-1'))?.sizeBytes, 2 * unit);
  });

  it('leaves nothing when there is no room', async () => {
    const { freeBytes } = await driver.capacity();
    const sizeBytes = (Math.floor(freeBytes / unit) + 1) * unit;
    await refuses(create('volume-1', { sizeBytes }), 'InsufficientSpace');
    assert.deepEqual(await names(), []);
    assert.equal((await driver.capacity()).freeBytes, freeBytes);
  });

  it('gives the last room to one of two that ask for it at once', async () => {
    const { freeBytes } = await driver.capacity();
    const sizeBytes = Math.floor(freeBytes / unit) * unit;
    const results = await Promise.allSettled([create('volume-1', { sizeBytes }), create('volume-2', { sizeBytes })]);
    const failures = results.filter((result) => result.status === 'rejected');
    assert.equal(failures.length, 1);
    await refuses(Promise.reject(failures[0]!.reason), 'InsufficientSpace');
    assert.equal((await names()).length, 1);
  });

  it('counts what it has made as taken', async () => {
    const before = await driver.capacity();
    assert.ok(before.freeBytes <= before.totalBytes);
    await create('volume-1');
    const after = await driver.capacity();
    assert.equal(after.totalBytes, before.totalBytes);
    assert.equal(after.freeBytes, before.freeBytes - 2 * unit);
  });

  it('never shows stale bytes after a create with zero', async () => {
    await fillWithStaleBytes();
    const made = await create('volume-1', { sizeBytes: 16 * unit, zero: true });
    assert.equal(made.readsZero, true);
    assert.deepEqual(made.tags.toSorted(), tags.toSorted());
    assert.equal(await readsZero(made.path, 16 * unit), true);
  });

  it('says that a device reads as zeros only when it does', async () => {
    await fillWithStaleBytes();
    const made = await create('volume-1', { sizeBytes: 16 * unit });
    if (made.readsZero) assert.equal(await readsZero(made.path, 16 * unit), true);
  });

  it('deletes a device once and for all', async () => {
    await create('volume-1');
    await create('volume-2');
    await driver.delete('volume-1', { tags: [mine] });
    await driver.delete('volume-1', { tags: [mine] });
    await driver.delete('never-made', { tags: [mine] });
    assert.deepEqual(await names(), ['volume-2']);
  });

  it('does not mind two deletes at once', async () => {
    await create('volume-1');
    await Promise.all([driver.delete('volume-1', { tags: [mine] }), driver.delete('volume-1', { tags: [mine] })]);
    assert.deepEqual(await names(), []);
  });

  it('does not delete a device that is open, and leaves it whole', async () => {
    const { path } = await create('volume-1');
    await scribble(path, 2 * unit);
    const release = await backEnd.holdOpen(path);
    try {
      await refuses(driver.delete('volume-1', { tags: [mine] }), 'DeviceInUse');
      assert.deepEqual((await driver.find('volume-1'))?.tags.toSorted(), tags.toSorted());
      assert.equal(await readsZero(path, unit), false);
    } finally {
      await release();
    }
    await driver.delete('volume-1', { tags: [mine] });
    assert.equal(await driver.find('volume-1'), null);
  });

  it('tells who has a device open', async () => {
    const { path } = await create('volume-1');
    const users = async () => foreignUsers((await driver.surroundings('volume-1'))?.users ?? []);
    assert.deepEqual(await users(), []);
    const close = await backEnd.holdOpen(path);
    assert.equal((await users()).length, 1);
    await close();
    assert.deepEqual(await users(), []);
    assert.equal(await driver.surroundings('volume-2'), null);
  });

  it('keeps everybody from writing to a device that is held, until it is released', async () => {
    const { path } = await create('volume-1');
    await refuses(driver.hold('volume-1', { tags: ['ferry.volume=v2'] }, 'm1'), 'NotOwned');
    await refuses(driver.hold('volume-2', { tags: ['ferry.volume=v1'] }, 'm1'), 'DeviceMissing');
    for (let i = 0; i < 2; i += 1) {
      await driver.hold('volume-1', { tags: ['ferry.volume=v1'] }, 'm1');
      assert.ok((await driver.find('volume-1'))?.tags.includes('ferry.held=m1'));
      await assert.rejects(scribble(path, unit));
    }
    await driver.release('volume-1', 'm2');
    assert.ok((await driver.find('volume-1'))?.tags.includes('ferry.held=m1'), 'it is not this migration’s hold');
    for (let i = 0; i < 2; i += 1) await driver.release('volume-1', 'm1');
    await scribble(path, unit);
    assert.deepEqual((await driver.find('volume-1'))?.tags.toSorted(), tags.toSorted());
    await driver.release('volume-2', 'm1');
  });

  it('takes a hold over that was left behind, and lets who is to use the device end it', async () => {
    const { path } = await create('volume-1');
    await driver.hold('volume-1', { tags: ['ferry.volume=v1'] }, 'm1');
    await driver.hold('volume-1', { tags: ['ferry.volume=v1'] }, 'm2');
    await driver.release('volume-1', 'm1');
    await assert.rejects(scribble(path, unit));
    for (let i = 0; i < 2; i += 1) await driver.makeReady('volume-1');
    await scribble(path, unit);
    assert.deepEqual((await driver.find('volume-1'))?.tags.toSorted(), tags.toSorted());
  });

  it('deletes a device that is held', async () => {
    await create('volume-1');
    await driver.hold('volume-1', { tags: ['ferry.volume=v1'] }, 'm1');
    await driver.delete('volume-1', { tags: [mine] });
    assert.equal(await driver.find('volume-1'), null);
  });

  it('changes tags, also when it has done so before', async () => {
    await create('volume-1');
    for (let i = 0; i < 2; i += 1) {
      await driver.retag('volume-1', { tags: [] }, { add: ['ferry.keep=1'], remove: [mine, 'ferry.never=there'] });
      assert.deepEqual((await driver.find('volume-1'))?.tags.toSorted(), ['ferry.keep=1', 'ferry.volume=v1']);
    }
    await driver.retag('volume-1', { tags: [] }, { add: [], remove: [] });
    await driver.retag('volume-1', { tags: [] }, { add: ['both'], remove: ['both'] });
    assert.ok((await driver.find('volume-1'))?.tags.includes('both'));
    await refuses(driver.delete('volume-1', { tags: [mine] }), 'NotOwned');
    await driver.delete('volume-1', { tags: ['ferry.keep=1'] });
    await refuses(driver.retag('volume-1', { tags: [] }, { add: ['x'], remove: [] }), 'DeviceMissing');
    await refuses(driver.retag('volume-1', { tags: [] }, { add: [], remove: [] }), 'DeviceMissing');
  });

  it('keeps every tag when tags are changed at once', async () => {
    await create('volume-1');
    const more = ['t1', 't2', 't3', 't4'];
    await Promise.all(more.map((tag) => driver.retag('volume-1', { tags: [] }, { add: [tag], remove: [] })));
    assert.deepEqual((await driver.find('volume-1'))?.tags.toSorted(), [...tags, ...more].toSorted());
  });

  it('lists its own devices and others’', async () => {
    assert.deepEqual(await driver.list(), []);
    const { readsZero: _, ...own } = await create('volume-1');
    await backEnd.makeForeign('stranger', unit);
    const [stranger, first] = (await driver.list()).toSorted((a, b) => a.name.localeCompare(b.name));
    assert.deepEqual({ ...first, tags: first?.tags.toSorted() }, { ...own, tags: tags.toSorted() });
    assert.deepEqual([stranger?.name, stranger?.sizeBytes, stranger?.tags], ['stranger', unit, []]);
  });

  const owned = 'ferry.volume=v1';
  const snap = ['ferry.snapshot=s1'];
  const same = async (one: string, other: string, sizeBytes: number): Promise<boolean> =>
    backEnd.run(['cmp', `--bytes=${sizeBytes}`, '--', one, other]).then(
      () => true,
      () => false,
    );

  it('extends a device: its bytes stay, the new ones are zeros, also when it has done so before', async () => {
    await fillWithStaleBytes();
    const { path } = await create('volume-1', { sizeBytes: unit });
    await scribble(path, unit);
    for (let i = 0; i < 2; i += 1) {
      await driver.extend('volume-1', 16 * unit, { tags: [owned] });
      const found = await driver.find('volume-1');
      assert.equal(found?.sizeBytes, 16 * unit);
      assert.deepEqual(found?.tags.toSorted(), tags.toSorted());
    }
    assert.equal(await readsZero(path, unit), false);
    await backEnd.run(['cmp', `--bytes=${15 * unit}`, `--ignore-initial=${unit}:0`, '--', path, '/dev/zero']);
  });

  it('does not zero again what an extended device was given since', async () => {
    const { path } = await create('volume-1', { sizeBytes: unit });
    await driver.extend('volume-1', 2 * unit, { tags: [owned] });
    await scribble(path, 2 * unit);
    await driver.extend('volume-1', 2 * unit, { tags: [owned] });
    await assert.rejects(
      backEnd.run(['cmp', `--bytes=${unit}`, `--ignore-initial=${unit}:0`, '--', path, '/dev/zero']),
    );
  });

  it('extends no device that is not there, not ours, open, or larger', async () => {
    await refuses(driver.extend('volume-1', 2 * unit, { tags: [owned] }), 'DeviceMissing');
    const { path } = await create('volume-1');
    await refuses(driver.extend('volume-1', 4 * unit, { tags: ['ferry.volume=v2'] }), 'NotOwned');
    await refuses(driver.extend('volume-1', unit, { tags: [owned] }), 'SizeMismatch');
    const release = await backEnd.holdOpen(path);
    try {
      await refuses(driver.extend('volume-1', 4 * unit, { tags: [owned] }), 'DeviceInUse');
    } finally {
      await release();
    }
    assert.equal((await driver.find('volume-1'))?.sizeBytes, 2 * unit);
  });

  it('leaves a device as it is when there is no room to extend it', async () => {
    const { tags: before } = await create('volume-1');
    const { freeBytes } = await driver.capacity();
    await refuses(
      driver.extend('volume-1', (Math.floor(freeBytes / unit) + 3) * unit, { tags: [owned] }),
      'InsufficientSpace',
    );
    const found = await driver.find('volume-1');
    assert.deepEqual([found?.sizeBytes, found?.tags.toSorted()], [2 * unit, before.toSorted()]);
  });

  it('keeps in a snapshot what the device had at that moment', async () => {
    const { path } = await create('volume-1');
    await create('copy');
    await scribble(path, 2 * unit);
    const copy = (await driver.find('copy'))!.path;
    await backEnd.run(['dd', `if=${path}`, `of=${copy}`, 'bs=1M', 'conv=notrunc,fsync', 'status=none']);
    for (let i = 0; i < 2; i += 1) await driver.snapshot('volume-1', '_snapshot-1', snap);
    await scribble(path, 2 * unit);
    const made = (await driver.find('_snapshot-1'))!;
    assert.deepEqual([made.sizeBytes, made.tags], [2 * unit, snap]);
    assert.equal(await same(made.path, copy, 2 * unit), true);
    assert.equal(await same(made.path, path, 2 * unit), false);
    await driver.delete('_snapshot-1', { tags: [snap[0]!] });
    assert.equal(await driver.find('_snapshot-1'), null);
    assert.equal((await driver.find('volume-1'))?.sizeBytes, 2 * unit);
  });

  it('makes no snapshot over a stranger, of nothing, or without room', async () => {
    await refuses(driver.snapshot('volume-1', '_snapshot-1', snap), 'DeviceMissing');
    await create('volume-1', { sizeBytes: 9 * unit });
    await backEnd.makeForeign('_snapshot-1', unit);
    await refuses(driver.snapshot('volume-1', '_snapshot-1', snap), 'DeviceExists');
    await create('volume-2', { sizeBytes: Math.floor((await driver.capacity()).freeBytes / unit) * unit });
    await refuses(driver.snapshot('volume-1', '_snapshot-2', snap), 'InsufficientSpace');
    assert.deepEqual(await names(), ['_snapshot-1', 'volume-1', 'volume-2']);
  });

  it('adopts a stranger with its bytes, also when it has done so before, and lets it go again', async () => {
    await backEnd.makeForeign('stranger', 2 * unit);
    await create('other');
    assert.deepEqual(
      (await driver.strangers()).map(({ device, obstacle }) => [device.name, device.sizeBytes, obstacle]),
      [['stranger', 2 * unit, null]],
    );
    await scribble((await driver.find('stranger'))!.path, 2 * unit);
    const before = (await backEnd.run(['sha256sum', '--', (await driver.find('stranger'))!.path])).stdout.split(' ')[0];
    const digest = async (name: string) =>
      (await backEnd.run(['sha256sum', '--', (await driver.find(name))!.path])).stdout.split(' ')[0];
    for (let i = 0; i < 2; i += 1) await driver.adopt('stranger', 'volume-1', [owned]);
    assert.deepEqual([await names(), (await driver.find('volume-1'))?.tags], [['other', 'volume-1'], [owned]]);
    assert.equal(await digest('volume-1'), before);
    assert.deepEqual(await driver.strangers(), []);
    await refuses(driver.adopt('stranger', 'volume-2', ['ferry.volume=v2']), 'DeviceMissing');
    await refuses(driver.adopt('volume-1', 'volume-2', ['ferry.volume=v2']), 'NotOwned');
    for (let i = 0; i < 2; i += 1) await driver.disown('volume-1', 'stranger', owned);
    assert.deepEqual([await names(), (await driver.find('stranger'))?.tags], [['other', 'stranger'], []]);
    assert.equal(await digest('stranger'), before);
  });

  it('gives a stranger to one of two that adopt it at once', async () => {
    await backEnd.makeForeign('stranger', unit);
    const results = await Promise.allSettled([
      driver.adopt('stranger', 'volume-1', ['ferry.volume=v1']),
      driver.adopt('stranger', 'volume-2', ['ferry.volume=v2']),
    ]);
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    const [left] = await driver.list();
    assert.equal(left?.tags.length, 1);
    assert.equal(left?.tags[0]?.slice(-1), left?.name.slice(-1));
  });

  it('adopts no stranger that is in use, nor under a name that is taken, and lets go of nothing that is not ours', async () => {
    await backEnd.makeForeign('stranger', unit);
    await create('volume-1');
    await refuses(driver.adopt('stranger', 'volume-1', ['ferry.volume=v2']), 'DeviceExists');
    await driver.disown('volume-1', 'stranger-2', 'ferry.volume=v2');
    // In the place of what has that name it would be the end of it.
    await assert.rejects(driver.disown('volume-1', 'stranger', owned));
    assert.deepEqual(await names(), ['stranger', 'volume-1']);
    const { path } = (await driver.find('stranger'))!;
    const release = await backEnd.holdOpen(path);
    try {
      assert.match((await driver.strangers())[0]?.obstacle ?? '', /in use/);
      await refuses(driver.adopt('stranger', 'volume-2', ['ferry.volume=v2']), 'DeviceInUse');
    } finally {
      await release();
    }
    assert.deepEqual([await names(), (await driver.find('stranger'))?.tags], [['stranger', 'volume-1'], []]);
  });

  it('says so when the back end is not there, whatever is asked', async () => {
    const { gone } = backEnd;
    await refuses(gone.capacity(), 'BackEndUnavailable');
    await refuses(gone.create({ name: 'volume-1', sizeBytes: unit, tags, zero: true }), 'BackEndUnavailable');
    await refuses(gone.find('volume-1'), 'BackEndUnavailable');
    await refuses(gone.list(), 'BackEndUnavailable');
    await refuses(gone.delete('volume-1', { tags: [mine] }), 'BackEndUnavailable');
    await refuses(gone.retag('volume-1', { tags: [] }, { add: ['x'], remove: [] }), 'BackEndUnavailable');
    await refuses(gone.extend('volume-1', unit, { tags: [mine] }), 'BackEndUnavailable');
    await refuses(gone.snapshot('volume-1', '_snapshot-1', snap), 'BackEndUnavailable');
    await refuses(gone.strangers(), 'BackEndUnavailable');
    await refuses(gone.adopt('volume-1', 'volume-2', tags), 'BackEndUnavailable');
    await refuses(gone.disown('volume-1', 'volume-2', mine), 'BackEndUnavailable');
  });

  const badNames = {
    'no letters': '',
    'a slash': 'a/b',
    'the parent': '..',
    'the folder': '.',
    'an option': '--force',
    'a dash': '-a',
    'a hidden file': '.lock',
    'a blank': 'a b',
    'a line end': 'a\n',
    'a zero byte': 'a\0b',
    'a quote': 'a"b',
    'shell words': '$(touch x)',
    'a comma': 'a,b',
    umlauts: 'ä',
    '10 kB of Unicode': '💾'.repeat(2500),
    '101 letters': 'a'.repeat(101),
    'a staged name': 'a~b',
  };
  it('takes no name that could be an option, leave its folder or mean something to a program', async () => {
    for (const [what, name] of Object.entries(badNames)) {
      await refuses(create(name), 'InvalidInput', what);
      await refuses(driver.find(name), 'InvalidInput', what);
      await refuses(driver.delete(name, { tags: [mine] }), 'InvalidInput', what);
      await refuses(driver.retag(name, { tags: [] }, { add: ['x'], remove: [] }), 'InvalidInput', what);
      await refuses(driver.extend(name, unit, { tags: [mine] }), 'InvalidInput', what);
      await refuses(driver.snapshot('volume-1', name, snap), 'InvalidInput', what);
      await refuses(driver.snapshot(name, '_snapshot-1', snap), 'InvalidInput', what);
      await refuses(driver.adopt(name, 'volume-1', tags), 'InvalidInput', what);
      await refuses(driver.adopt('volume-1', name, tags), 'InvalidInput', what);
      await refuses(driver.disown(name, 'volume-1', mine), 'InvalidInput', what);
      await refuses(driver.disown('volume-1', name, mine), 'InvalidInput', what);
    }
    assert.deepEqual(await driver.list(), []);
  });

  it('takes no tag that could be an option or end the list of tags', async () => {
    await create('volume-1');
    for (const tag of ['', '--yes', 'a,b', 'a b', 'a"}', '@all', 'ü', 'x'.repeat(2000)]) {
      await refuses(create('volume-2', { tags: [tag] }), 'InvalidInput');
      await refuses(driver.delete('volume-1', { tags: [tag] }), 'InvalidInput');
      await refuses(driver.retag('volume-1', { tags: [] }, { add: [tag], remove: [] }), 'InvalidInput');
      await refuses(driver.retag('volume-1', { tags: [] }, { add: [], remove: [tag] }), 'InvalidInput');
    }
    await refuses(create('volume-2', { tags: [] }), 'InvalidInput');
    assert.deepEqual(await names(), ['volume-1']);
  });

  it('takes no size that no device can have', async () => {
    for (const sizeBytes of [0, -unit, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
      await refuses(create('volume-1', { sizeBytes }), 'InvalidInput');
    }
    assert.deepEqual(await names(), []);
  });

  it('takes the longest names and all letters that names may have', async () => {
    for (const name of ['a'.repeat(100), 'A-1_b.c+d', '_x', '7']) {
      await create(name);
      assert.deepEqual(await names(), [name]);
      await driver.delete(name, { tags: [mine] });
    }
  });
}

/** Expects a `FerryError` of that type. */
export async function refuses(promise: Promise<unknown>, type: FerryErrorType, what = ''): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof FerryError, `${what} ${String(error)}`);
    assert.equal(error.type, type, `${what} ${error.message}`);
    return true;
  });
}
