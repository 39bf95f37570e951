import assert from 'node:assert/strict';
import { mkdtemp, open, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import {
  generationTag,
  incomingTags,
  keptTag,
  liveTags,
  migrationTag,
  roleTag,
  volumeTag,
  type Whereabouts,
} from '../../../model/device.ts';
import { removeFolder } from '../../../setup/remove-folder.mjs';
import { ferryError } from '../../registry/world.ts';
import { runStep } from './run-step.ts';

// What is refused here on purpose is nobody's trouble.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const mib = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const deviceName = `volume-${volumeId}`;
/** Read-only for as long as it is kept. */
const held = [`ferry.held=${migrationId}`, 'ferry.mode=600'];
const keptTags = [generationTag(0), keptTag(migrationId), roleTag('kept'), volumeTag(volumeId), ...held].toSorted();
const place = { backEnd: 'server2@b', deviceName: 'volume-2', identity: 'a-device', generation: 1, sizeBytes: mib };
const elsewhere: Whereabouts = { state: 'there', ...place };
const proof = () => ({ ...place, provenAt: new Date().toISOString() });
const at = { backEnd: 'server1@a', deviceName, volumeId, migrationId, exportName: `migration-${migrationId}` };

describe('a device that its volume has left', () => {
  let folder: string;
  let driver: VolumeDriver;
  let activities: StorageActivities;
  let isKept = true;
  let now: Whereabouts = { state: 'unknown' };
  const ended: string[] = [];
  const tags = async () => (await driver.find(deviceName))?.tags.toSorted() ?? null;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-kept-'));
  });
  after(() => removeFolder(folder));
  beforeEach(async () => {
    isKept = true;
    now = elsewhere;
    ended.length = 0;
    driver = createDirectoryDriver({ path: await mkdtemp(join(folder, 'back-end-')) });
    const deps: Partial<StorageDependencies> = {
      drivers: new Map([['server1@a', driver]]),
      exports: { list: async () => [], remove: async (name: string) => void ended.push(name) } as never,
      isCurrentLocation: async () => false,
      isKeptSource: async () => isKept,
      needsRepair: async () => false,
      whereabouts: async () => now,
      registryTime: async () => new Date().toISOString(),
    };
    activities = createStorageActivities(deps as StorageDependencies);
    await driver.create({ name: deviceName, sizeBytes: mib, tags: liveTags(volumeId), zero: false });
  });

  test('loses its export and is marked, twice as well as once; whoever sees it is told what it is', async () => {
    for (let times = 0; times < 2; times += 1) await runStep(activities.keepSource, at);
    assert.deepEqual(await tags(), keptTags);
    assert.deepEqual(ended, [at.exportName, at.exportName]);
    const [line] = await runStep(activities.listEverything, { backEnd: 'server1@a' });
    assert.match(
      line!,
      new RegExp(`kept source of volume ${volumeId}; remove it: ferry migration discard ${volumeId}`),
    );
  });

  test('is written to by nobody: a guest that finds its old definition does not start on it', async () => {
    await runStep(activities.keepSource, at);
    const { path } = (await driver.find(deviceName))!;
    // As root, as QEMU may be.
    await assert.rejects(open(path, 'r+'), { code: 'EPERM' });
    await using _ = await open(path, 'r');
  });

  test('is deleted by nothing while the registry keeps it, and then by what removes it', async () => {
    await runStep(activities.keepSource, at);
    await assert.rejects(runStep(activities.retireSource, { ...at, proof: proof() }), ferryError('NotOwned'));
    // As for one that met a device of that name, and is taken back: nothing of it is there.
    await runStep(activities.deleteDestination, at);
    assert.notEqual(await tags(), null);
    await driver.retag(deviceName, { tags: [] }, { add: [migrationTag(migrationId)], remove: [] });
    await assert.rejects(runStep(activities.deleteDestination, at), ferryError('NotOwned'));
    assert.notEqual(await tags(), null);
    isKept = false;
    await runStep(activities.retireSource, { ...at, proof: proof() });
    assert.equal(await tags(), null);
  });

  test('is not marked by a late repeat: not kept any more, another volume’s, or gone', async () => {
    isKept = false;
    await runStep(activities.keepSource, at);
    await runStep(activities.keepSource, { ...at, volumeId: migrationId });
    assert.deepEqual(await tags(), liveTags(volumeId).toSorted());
    await driver.delete(deviceName, { tags: [volumeTag(volumeId)] });
    await runStep(activities.keepSource, at);
    assert.equal(await tags(), null);
  });

  test('is an ordinary device again when its volume is back, of a higher generation', async () => {
    await runStep(activities.keepSource, at);
    const back = { ...at, keptBy: migrationId, generation: 2, identity: null, sizeBytes: mib };
    for (let times = 0; times < 2; times += 1) {
      const { generation } = await runStep(activities.settleDestination, back);
      assert.equal(generation, 2);
    }
    assert.deepEqual(await tags(), liveTags(volumeId, 2).toSorted());
    const { path } = (await driver.find(deviceName))!;
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await using _ = await open(path, 'r+');
  });

  test('stays unless the device that holds the volume now was asked, and the registry says the same', async () => {
    isKept = false;
    const stays = (given: ReturnType<typeof proof> | null) =>
      assert.rejects(runStep(activities.retireSource, { ...at, proof: given }), ferryError('NotProven'));
    await stays(null);
    await stays({ ...proof(), provenAt: new Date(Date.now() - 3600_000).toISOString() });
    await stays({ ...proof(), backEnd: 'server3@c' });
    await stays({ ...proof(), identity: 'another' });
    await stays({ ...proof(), generation: 2 });
    now = { state: 'unknown' };
    await stays(proof());
    now = { ...elsewhere, generation: 0 } as Whereabouts;
    await stays({ ...proof(), generation: 0 });
    assert.deepEqual(await tags(), liveTags(volumeId).toSorted());
    now = { state: 'deleted' };
    await runStep(activities.retireSource, { ...at, proof: null });
    assert.equal(await tags(), null);
  });

  test('of another identity under the same name stays', async () => {
    isKept = false;
    const gone = (await driver.find(deviceName))!.identity;
    await driver.delete(deviceName, { tags: [volumeTag(volumeId)] });
    await driver.create({ name: deviceName, sizeBytes: mib, tags: liveTags(volumeId), zero: false });
    const late = { ...at, identity: gone };
    await assert.rejects(runStep(activities.retireSource, { ...late, proof: proof() }), ferryError('WrongDevice'));
    await assert.rejects(runStep(activities.keepSource, late), ferryError('WrongDevice'));
    const live = { ...late, generation: 0 };
    await assert.rejects(runStep(activities.deleteDevice, live), ferryError('WrongDevice'));
    await assert.rejects(runStep(activities.extendDevice, { ...live, sizeBytes: 2 * mib }), ferryError('WrongDevice'));
    assert.deepEqual(await tags(), liveTags(volumeId).toSorted());
  });

  test('that was live once is not taken back as a mere copy', async () => {
    isKept = false;
    const name = 'volume-11111111-1111-4111-8111-111111111112';
    await driver.create({ name, sizeBytes: mib, tags: incomingTags(volumeId, migrationId, 1), zero: false });
    const made = { ...at, deviceName: name };
    await driver.retag(name, { tags: [] }, { add: [roleTag('live')], remove: [roleTag('incoming')] });
    await assert.rejects(runStep(activities.deleteDestination, made), ferryError('NotOwned'));
    await driver.retag(name, { tags: [] }, { add: [roleTag('incoming')], remove: [roleTag('live')] });
    await runStep(activities.deleteDestination, made);
    assert.equal(await driver.find(name), null);
  });
});
