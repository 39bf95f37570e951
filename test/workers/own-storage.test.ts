import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { execa } from 'execa';
import { pino } from 'pino';
import { createDirectoryDriver } from '../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../activities/storage/driver.ts';
import { volumeTag } from '../../model/device.ts';
import { FerryError } from '../../model/errors.ts';
import { deviceName } from '../../model/names.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { readStorage, requestAdoption } from '../../registry/storages.ts';
import { createOwnStorage } from '../../workers/own-storage.ts';
import { testRegistry } from '../registry/database.ts';
import { putBackEnd, putVolume } from '../registry/world.ts';

const [one, two] = ['server1@one', 'server1@two'] as const;
const sizeBytes = 1024 ** 2;
const markFile = '.ferry-back-end.json';

describe("a back end's own storage", () => {
  let folder: string;
  let path: string;
  let registry: Registry;
  const mounts: string[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-own-'));
    path = await folderOf('one');
    registry = await testRegistry();
  });
  afterEach(async () => {
    for (const mount of mounts.splice(0).toReversed()) await execa('umount', [mount]);
    await rm(folder, { recursive: true });
  });
  after(() => assert.deepEqual(mounts, []));

  const folderOf = async (name: string) => {
    await mkdir(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const mount = async (from: string, to: string) => {
    await execa('mount', ['--bind', from, to]);
    mounts.push(to);
  };
  const unmount = async (to: string) => {
    await execa('umount', [to]);
    mounts.splice(mounts.indexOf(to), 1);
  };

  /** That of another Ferry. A test's registry is a copy of one that all tests have, and so is its identity. */
  const anotherRegistry = async () => {
    const other = await testRegistry();
    await other.rows(noColumns, 'UPDATE registry_identity SET id = gen_random_uuid()');
    return other;
  };

  /** A back end as its worker has it. */
  function serve(
    backEnd: string,
    at = path,
    of = registry,
  ): { driver: VolumeDriver; refresh(this: void): Promise<void> } {
    const storage = createDirectoryDriver({ path: at });
    const own = createOwnStorage({ backEnd, storage, registry: of, log: pino({ level: 'silent' }) });
    return { driver: createDirectoryDriver({ path: at, admit: own.admit }), refresh: own.refresh };
  }
  async function started(...args: Parameters<typeof serve>) {
    const served = serve(...args);
    await served.refresh();
    return served;
  }
  /** A volume on a back end, in the registry and as a device. */
  async function volume(backEnd: string, driver: VolumeDriver, of = registry): Promise<string> {
    await putBackEnd(of, backEnd, { driver: 'directory' });
    const id = await putVolume(of, { host: backEnd });
    const name = deviceName({ id, nameId: null });
    await driver.create({ name, sizeBytes, tags: [volumeTag(id)], zero: true });
    return name;
  }
  const refuses = (action: Promise<unknown>, why: RegExp) =>
    assert.rejects(action, (error) => {
      assert.ok(error instanceof FerryError, String(error));
      assert.equal(error.type, 'BackEndUnavailable');
      assert.match(error.message, why);
      return true;
    });
  /** No method of the driver answers or changes anything. */
  async function refusesEverything(driver: VolumeDriver, why: RegExp): Promise<void> {
    const [name, tags] = ['volume-x', ['ferry.volume=x']];
    const device = { name, path: join(path, name), sizeBytes, tags, identity: randomUUID() };
    for (const action of [
      () => driver.capacity(),
      () => driver.create({ name, sizeBytes, tags, zero: true }),
      () => driver.share(device, device),
      () => driver.find(name),
      () => driver.list(),
      () => driver.delete(name, { tags }),
      () => driver.retag(name, { tags }, { add: tags, remove: [] }),
      () => driver.extend(name, sizeBytes, { tags }),
      () => driver.snapshot(name, 'snap', tags),
      () => driver.strangers(),
      () => driver.adopt(name, 'other', tags),
      () => driver.disown(name, 'other', tags[0]!),
    ])
      await refuses(action(), why);
  }

  test('is marked at its first use, and known again', async () => {
    const { driver } = await started(one);
    const name = await volume(one, driver);
    const mark = JSON.parse(await readFile(join(path, markFile), 'utf8'));
    const known = await readStorage(registry, one);
    assert.deepEqual(mark, { id: known.identity, registry: known.registry, backEnd: one });
    const again = await started(one);
    assert.equal((await again.driver.find(name))?.name, name);
    assert.deepEqual(JSON.parse(await readFile(join(path, markFile), 'utf8')), mark);
  });

  test('that is unmounted while its worker runs is missed at the next step; nothing is made in the bare directory', async () => {
    await mount(await folderOf('disk'), path);
    const { driver, refresh } = await started(one);
    const name = await volume(one, driver);
    await unmount(path);
    await refusesEverything(driver, /not mounted.*ferry back-end adopt server1@one/);
    await refuses(refresh(), /none of the 1 devices/);
    await refuses(serve(one).refresh(), /none of the 1 devices/);
    assert.deepEqual(await readdir(path), []);
    await mount(join(folder, 'disk'), path);
    assert.equal((await driver.find(name))?.name, name);
    await refresh();
    assert.equal((await readStorage(registry, one)).found, null);
  });

  test('is missed also when nothing was on it', async () => {
    await mount(await folderOf('disk'), path);
    const { driver } = await started(one);
    await unmount(path);
    await refusesEverything(driver, /not mounted/);
    await refuses(serve(one).refresh(), /not mounted/);
    assert.deepEqual(await readdir(path), []);
  });

  test('may be mounted over the bare directory of a back end that has nothing yet, and is missed from then on', async () => {
    await started(one);
    await mount(await folderOf('disk'), path);
    const { driver } = await started(one);
    await volume(one, driver);
    await unmount(path);
    const bare = await readdir(path);
    await refusesEverything(driver, /the registry does not know/);
    assert.deepEqual(await readdir(path), bare);
  });

  test('is not taken for that of another back end when their paths are swapped', async () => {
    const other = await folderOf('two');
    const names = [
      await volume(one, (await started(one)).driver),
      await volume(two, (await started(two, other)).driver),
    ];
    for (const [backEnd, at, owner] of [
      [one, other, two],
      [two, path, one],
    ] as const) {
      const swapped = serve(backEnd, at);
      await refuses(swapped.refresh(), new RegExp(`it is the storage of back end ${owner}`));
      await refusesEverything(swapped.driver, new RegExp(`it is the storage of back end ${owner}`));
    }
    const back = [await started(one), await started(two, other)];
    for (const [i, { driver }] of back.entries()) assert.ok(await driver.find(names[i]!));
  });

  test('is not served under a second name, of this node or another', async () => {
    const { driver } = await started(one);
    await volume(one, driver);
    for (const backEnd of [two, 'server2@one'])
      await refuses(serve(backEnd).refresh(), /the storage of back end server1@one/);
  });

  test("is not a second Ferry's, which is told whose it is", async () => {
    const { driver } = await started(one);
    const name = await volume(one, driver);
    const second = serve('server9@x', path, await anotherRegistry());
    await refuses(second.refresh(), /belongs to another Ferry, as its back end server1@one/);
    await refusesEverything(second.driver, /belongs to another Ferry/);
    assert.ok(await driver.find(name));
  });

  test('is the first one’s of two Ferrys that begin at once', async () => {
    const both = [serve(one), serve('server9@x', path, await anotherRegistry())];
    const results = await Promise.allSettled(both.map(({ refresh }) => refresh()));
    assert.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    const winner = both[results.findIndex(({ status }) => status === 'fulfilled')]!;
    await winner.driver.list();
  });

  test('from before back ends were marked is taken when the registry’s devices are in it, and only then', async () => {
    const before = createDirectoryDriver({ path });
    await volume(one, before);
    await refuses(serve(one, await folderOf('empty')).refresh(), /none of the 1 devices/);
    assert.deepEqual(await readdir(join(folder, 'empty')), []);
    const { driver } = await started(one);
    assert.equal((await driver.list()).length, 1);
  });

  test('of a registry that is gone is not taken by a new, empty one until an operator says so', async () => {
    const { driver } = await started(one);
    const name = await volume(one, driver);
    const anew = await anotherRegistry();
    const later = serve(one, path, anew);
    await refuses(later.refresh(), /belongs to another Ferry/);
    const { found } = await readStorage(anew, one);
    assert.deepEqual(found?.contents, { matched: 0, missing: [], unknown: [name] });
    await requestAdoption(anew, one, { id: randomUUID(), instead: found.seen, requestedBy: 'admin' });
    await later.refresh();
    assert.ok(await later.driver.find(name));
    await refusesEverything(driver, /belongs to another Ferry/);
  });

  test('of before marks, with volumes that a new registry does not know, is not taken either', async () => {
    const anew = await testRegistry();
    await volume(one, createDirectoryDriver({ path }));
    await refuses(serve(one, path, anew).refresh(), /volumes of a Ferry that this registry does not know/);
    assert.ok(!(await readdir(path)).includes(markFile));
  });

  test('is adopted as it was shown, and not if it has changed since', async () => {
    const { refresh } = await started(one);
    await rm(join(path, markFile));
    const served = serve(one);
    await refuses(served.refresh(), /mark is not in it/);
    const { found } = await readStorage(registry, one);
    const adoption = { id: randomUUID(), instead: found!.seen, requestedBy: 'admin' };
    const foreign = { id: randomUUID(), registry: randomUUID(), backEnd: 'elsewhere@x' };
    await writeFile(join(path, markFile), JSON.stringify(foreign));
    await requestAdoption(registry, one, adoption);
    await refuses(served.refresh(), /another Ferry/);
    assert.deepEqual(JSON.parse(await readFile(join(path, markFile), 'utf8')), foreign);
    await rm(join(path, markFile));
    await served.refresh();
    await refresh();
    assert.equal((await readStorage(registry, one)).identity, adoption.id);
  });

  test('with a mark that was written by a worker that died before it told the registry is taken', async () => {
    const { registry: id } = await readStorage(registry, one);
    const mark = { id: randomUUID(), registry: id, backEnd: one };
    await writeFile(join(path, markFile), JSON.stringify(mark));
    await started(one);
    assert.equal((await readStorage(registry, one)).identity, mark.id);
    const other = { ...mark, id: randomUUID() };
    const at = await folderOf('two');
    await writeFile(join(at, markFile), JSON.stringify(other));
    await refuses(serve(two, at).refresh(), /marked as back end server1@one/);
  });

  test('with a mark that cannot be read is left alone', async () => {
    await writeFile(join(path, markFile), '{"id":');
    const { driver, refresh } = serve(one);
    await refuses(refresh(), /no mark that this Ferry understands/);
    await refusesEverything(driver, /no mark that this Ferry understands/);
  });

  test('whose file system is read-only is read, and takes nothing', async () => {
    await mount(await folderOf('disk'), path);
    const { driver } = await started(one);
    const name = await volume(one, driver);
    await execa('mount', ['-o', 'remount,bind,ro', path]);
    const again = await started(one);
    assert.match((await again.driver.capacity()).placementFault ?? 'well', /read-only/);
    assert.equal((await again.driver.find(name))?.sizeBytes, sizeBytes);
  });
});
