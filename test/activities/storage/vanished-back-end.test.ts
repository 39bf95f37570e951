import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import { incomingTags, liveTags, volumeTag } from '../../../model/device.ts';
import { FerryError } from '../../../model/errors.ts';
import { copyStart } from '../../../model/migration.ts';
import { ferryError } from '../../registry/world.ts';
import { removeFolder } from '../../../setup/remove-folder.mjs';
import { runStep } from './run-step.ts';

// What fails here fails on purpose.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const mib = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const [volume, incoming] = [`volume-${volumeId}`, 'volume-incoming'];
const mark = {
  id: '22222222-2222-4222-8222-222222222222',
  registry: '33333333-3333-4333-8333-333333333333',
  backEnd: 'server1@a',
};

describe('a back end whose file system goes away while it is worked on', () => {
  let path: string;
  let driver: VolumeDriver;
  /** It goes away right after it has been admitted so often; null: it stays. */
  let goesAfter: number | null = null;

  const unmount = async () => {
    await rename(path, `${path}.away`);
    await mkdir(path);
  };
  const mountAgain = async () => {
    await rm(path, { recursive: true, force: true });
    await rename(`${path}.away`, path);
  };

  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-vanished-'));
  });
  after(async () => {
    // What is held is immutable.
    removeFolder(folder);
  });
  beforeEach(async () => {
    goesAfter = null;
    path = await mkdtemp(join(folder, 'back-end-'));
    driver = createDirectoryDriver({
      path,
      admit: async (seen) => {
        if (seen.mark?.id !== mark.id) throw new FerryError('BackEndUnavailable', 'it is not mounted');
        if (goesAfter === null) return;
        goesAfter -= 1;
        if (goesAfter === 0) await unmount();
      },
    });
    await driver.mark(mark, null);
    await driver.create({ name: volume, sizeBytes: mib, tags: liveTags(volumeId), zero: false });
    const tags = incomingTags(volumeId, migrationId, 1);
    await driver.create({ name: incoming, sizeBytes: mib, tags, zero: false });
  });
  afterEach(() => mountAgain().catch(() => {}));

  describe('is never told as one without devices', () => {
    const mine = { tags: [volumeTag(volumeId)] };
    const methods: Record<string, () => Promise<unknown>> = {
      find: () => driver.find(volume),
      list: () => driver.list(),
      strangers: () => driver.strangers(),
      surroundings: () => driver.surroundings(volume),
      snapshots: () => driver.snapshots(volume),
      // What is free changes all the time.
      capacity: async () => (await driver.capacity()).totalBytes,
      delete: () => driver.delete(volume, mine),
      retag: () => driver.retag(volume, mine, { add: ['ferry.x=1'], remove: [] }),
      extend: () => driver.extend(volume, 2 * mib, mine),
      hold: () => driver.hold(volume, mine, migrationId),
      release: () => driver.release(volume, migrationId),
      makeReady: () => driver.makeReady(volume),
      snapshot: () => driver.snapshot(volume, 'snapshot-1', ['ferry.snapshot=1']),
      disown: () => driver.disown(volume, 'plain', volumeTag(volumeId)),
    };
    for (const [name, method] of Object.entries(methods)) {
      test(name, async () => {
        const reads = ['find', 'list', 'strangers', 'surroundings', 'snapshots', 'capacity'].includes(name);
        const truth = reads ? await method() : 'an answer';
        let refused = 0;
        // After each look that it takes, one after another, until there is none more.
        for (let looks = 1; ; looks += 1) {
          goesAfter = looks;
          const answer = await method().catch((error: unknown) => error);
          const wentAway = goesAfter === 0;
          goesAfter = null;
          if (!wentAway) break;
          if (answer instanceof Error) assert.equal((answer as FerryError).type, 'BackEndUnavailable', answer.message);
          else assert.deepEqual(answer, truth);
          if (answer instanceof Error) refused += 1;
          await mountAgain();
        }
        assert.ok(refused > 0);
      });
    }
  });

  describe('between the look for a device and its use', () => {
    /** Between the two, once: by whatever comes then. */
    const gone = async (): Promise<never> => {
      await unmount();
      throw new FerryError('DeviceMissing', `there is no such device to use`);
    };
    const activities = () =>
      createStorageActivities({
        drivers: new Map([['server1@a', driver]]),
        exports: { list: async () => [], ensure: gone } as never,
        copier: { run: gone } as never,
        slots: { run: (_: unknown, work: () => Promise<unknown>) => work() } as never,
        reportProgress: async () => {},
        registryTime: gone,
        noProgressMs: 60_000,
      } as Partial<StorageDependencies> as StorageDependencies);
    const live = { backEnd: 'server1@a', deviceName: volume, volumeId, identity: null, generation: 0, sizeBytes: mib };
    const copied = {
      ...{ backEnd: 'server1@a', deviceName: incoming, volumeId, migrationId, sizeBytes: mib, bandwidth: null },
      from: copyStart,
    };
    const address = { host: '127.0.0.1', port: 10_809, exportName: 'm-1', tls: false };
    const uses: Record<string, () => Promise<unknown>> = {
      'an attach': () => runStep(activities().exportVolume, { ...live, exportName: 'attachment-1', writable: true }),
      'the source of a copy': () => runStep(activities().exportSource, { ...live, exportName: 'm-1', migrationId }),
      'the destination of a mirror': () => runStep(activities().exportDestination, { ...copied, exportName: 'm-1' }),
      'a copy': () => runStep(activities().pullVolume, { ...copied, source: address, readsZero: true, digest: false }),
      'a copy within the node, by its source': () =>
        runStep(activities().copyVolume, { ...copied, source: live, readsZero: true, digest: false }),
      'a digest': () => runStep(activities().digestVolume, copied),
      'a proof': () => runStep(activities().proveLive, live),
    };
    for (const [name, use] of Object.entries(uses)) {
      test(`${name} fails for the back end, not for the device`, async () => {
        await assert.rejects(use, ferryError('BackEndUnavailable'));
      });
    }

    test('what is true of the device stays what is told', async () => {
      await driver.delete(volume, { tags: [volumeTag(volumeId)] });
      await assert.rejects(runStep(activities().proveLive, live), ferryError('DeviceMissing'));
    });
  });
});
