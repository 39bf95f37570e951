import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import { keptTag, migrationTag, volumeTag } from '../../../model/names.ts';
import { ferryError } from '../../registry/world.ts';

// What is refused here on purpose is nobody's trouble.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const mib = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const deviceName = `volume-${volumeId}`;
const at = { backEnd: 'server1@a', deviceName, volumeId, migrationId, exportName: `migration-${migrationId}` };

describe('a device that its volume has left', () => {
  let folder: string;
  let driver: VolumeDriver;
  let activities: StorageActivities;
  let isKept = true;
  const ended: string[] = [];
  const run = <I, O>(step: (input: I) => Promise<O>, input: I): Promise<O> =>
    new MockActivityEnvironment().run<[I], O, (input: I) => Promise<O>>(step, input);
  const tags = async () => (await driver.find(deviceName))?.tags.toSorted() ?? null;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-kept-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    isKept = true;
    ended.length = 0;
    driver = createDirectoryDriver({ path: folder });
    const deps: Partial<StorageDependencies> = {
      drivers: new Map([['server1@a', driver]]),
      exports: { list: async () => [], remove: async (name: string) => void ended.push(name) } as never,
      isCurrentLocation: async () => false,
      isKeptSource: async () => isKept,
    };
    activities = createStorageActivities(deps as StorageDependencies);
    await driver.create({ name: deviceName, sizeBytes: mib, tags: [volumeTag(volumeId)], zero: false });
  });

  test('loses its export and is marked, twice as well as once; whoever sees it is told what it is', async () => {
    for (let times = 0; times < 2; times += 1) await run(activities.keepSource, at);
    assert.deepEqual(await tags(), [keptTag(migrationId), volumeTag(volumeId)]);
    assert.deepEqual(ended, [at.exportName, at.exportName]);
    const [line] = await run(activities.listEverything, { backEnd: 'server1@a' });
    assert.match(
      line!,
      new RegExp(`kept source of volume ${volumeId}; remove it: ferry migration discard ${volumeId}`),
    );
  });

  test('is deleted by nothing while the registry keeps it, and then by what removes it', async () => {
    await run(activities.keepSource, at);
    await assert.rejects(run(activities.retireSource, at), ferryError('NotOwned'));
    // As for one that met a device of that name, and is taken back: nothing of it is there.
    await run(activities.deleteDestination, at);
    assert.notEqual(await tags(), null);
    await driver.retag(deviceName, { add: [migrationTag(migrationId)], remove: [] });
    await assert.rejects(run(activities.deleteDestination, at), ferryError('NotOwned'));
    assert.notEqual(await tags(), null);
    isKept = false;
    await run(activities.retireSource, at);
    assert.equal(await tags(), null);
  });

  test('is not marked by a late repeat: not kept any more, another volume’s, or gone', async () => {
    isKept = false;
    await run(activities.keepSource, at);
    await run(activities.keepSource, { ...at, volumeId: migrationId });
    assert.deepEqual(await tags(), [volumeTag(volumeId)]);
    await driver.delete(deviceName, volumeTag(volumeId));
    await run(activities.keepSource, at);
    assert.equal(await tags(), null);
  });

  test('is an ordinary device again when its volume is back', async () => {
    await driver.retag(deviceName, { add: [keptTag(migrationId), migrationTag(migrationId)], remove: [] });
    await run(activities.settleDestination, { ...at, keptBy: migrationId });
    assert.deepEqual(await tags(), [volumeTag(volumeId)]);
  });
});
