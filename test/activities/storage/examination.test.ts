import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import {
  createStorageActivities,
  type StorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import type { ExaminedSource } from '../../../activities/storage/create-examination-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import { incomingTags, keptTag, liveTags, roleTag } from '../../../model/device.ts';
import type { Reason } from '../../../model/errors.ts';

const mib = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const deviceName = `volume-${volumeId}`;
const [from, to] = ['server1@a', 'server1@b'];

describe('what a node sees before a volume is moved', () => {
  let folder: string;
  let places: { source: string; destination: string };
  let source: VolumeDriver;
  let destination: VolumeDriver;
  let activities: StorageActivities;
  let served: object[] = [];
  const look = async <I>(step: (input: I) => Promise<Reason[]>, input: I): Promise<Reason[]> =>
    new MockActivityEnvironment().run<[I], Reason[], (input: I) => Promise<Reason[]>>(step, input);
  const types = (reasons: Reason[]) => reasons.map(({ type }) => type).join();
  const atSource: ExaminedSource = {
    backEnd: from,
    deviceName,
    volumeId,
    identity: null,
    generation: 0,
    sizeBytes: mib,
    attached: false,
  };
  const atDestination = {
    backEnd: to,
    deviceName,
    sizeBytes: mib,
    source: { backEnd: from, deviceName },
    keepsName: true,
  };
  const leaves = (change: Partial<ExaminedSource> = {}) => look(activities.examineSource, { ...atSource, ...change });
  const comes = (change: Partial<typeof atDestination> = {}) =>
    look(activities.examineDestination, { ...atDestination, ...change });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-examination-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    served = [];
    places = { source: await mkdtemp(join(folder, 'a-')), destination: await mkdtemp(join(folder, 'b-')) };
    source = createDirectoryDriver({ path: places.source });
    destination = createDirectoryDriver({ path: places.destination, capacityBytes: 8 * mib });
    const deps: Partial<StorageDependencies> = {
      drivers: new Map([
        [from, source],
        [to, destination],
      ]),
      exports: { list: async () => served, clients: async () => [] } as never,
    };
    activities = createStorageActivities(deps as StorageDependencies);
    await source.create({ name: deviceName, sizeBytes: mib, tags: liveTags(volumeId), zero: false });
  });

  describe('at the source', () => {
    test('is nothing when all is well, and the look changes nothing', async () => {
      const seen = async () => {
        const device = (await source.find(deviceName))!;
        return [device, (await stat(device.path)).mode, (await stat(device.path)).ctimeMs];
      };
      const earlier = await seen();
      assert.deepEqual(await leaves({ identity: (await source.find(deviceName))!.identity }), []);
      assert.deepEqual(await seen(), earlier);
    });

    test('is that the device is not there, or is not the volume’s', async () => {
      assert.equal(types(await leaves({ deviceName: 'volume-of-nobody' })), 'DeviceMissing');
      assert.equal(types(await leaves({ volumeId: migrationId })), 'NotOwned');
    });

    test('is that the device is another one, of another generation, or does not hold the volume now', async () => {
      assert.equal(types(await leaves({ identity: 'another' })), 'WrongDevice');
      assert.notEqual(types(await leaves({ generation: 1 })), '');
      await source.retag(deviceName, { tags: [] }, { add: [roleTag('kept')], remove: [roleTag('live')] });
      assert.notEqual(types(await leaves()), '');
    });

    test('is that somebody writes to it, by name; not to one that a guest is known to have', async () => {
      const { path } = (await source.find(deviceName))!;
      const writer = spawn('sh', ['-c', 'exec 3<>"$0"; echo; exec sleep 600', path], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        await once(writer.stdout, 'data');
        const [reason, ...more] = await leaves();
        assert.equal(reason?.type, 'VolumeInUse');
        assert.match(reason.message, new RegExp(`process ${writer.pid} `));
        assert.deepEqual(more, []);
        assert.deepEqual(await leaves({ attached: true }), []);
      } finally {
        writer.kill('SIGKILL');
        await once(writer, 'exit');
      }
    });

    test('is a writable export that no attachment knows of', async () => {
      const { path } = (await source.find(deviceName))!;
      served = [{ exportName: 'forgotten', path, writable: true, pid: 1 }];
      const [reason] = await leaves();
      assert.equal(reason?.type, 'VolumeInUse');
      assert.match(reason.message, /the writable export forgotten/);
      served = [{ exportName: 'reader', path, writable: false, pid: 1 }];
      assert.deepEqual(await leaves(), []);
    });

    test('is told all at once', async () => {
      const { path } = (await source.find(deviceName))!;
      served = [{ exportName: 'forgotten', path, writable: true, pid: 1 }];
      assert.equal(
        types(await leaves({ sizeBytes: 2 * mib, identity: 'another' })),
        'WrongDevice,SizeMismatch,VolumeInUse',
      );
    });

    test('is what keeps it from looking: the back end’s folder is gone', async () => {
      await rename(places.source, `${places.source}-elsewhere`);
      assert.equal(types(await leaves()), 'BackEndUnavailable');
    });
  });

  describe('at the destination', () => {
    const device = (tags: string[]) => destination.create({ name: deviceName, sizeBytes: mib, tags, zero: false });
    const staleFile = async () => {
      const file = join(places.destination, 'volumes', deviceName);
      await mkdir(join(places.destination, 'volumes'));
      await writeFile(file, '');
      await truncate(file, mib);
    };

    test('is nothing when there is room', async () => {
      assert.deepEqual(await comes(), []);
      assert.deepEqual(await destination.list(), []);
    });

    test('is a stale file of the device’s name, unless the new device has a name of its own', async () => {
      await staleFile();
      const [reason, ...more] = await comes();
      assert.equal(reason?.type, 'DeviceExists');
      assert.match(reason.message, new RegExp(`${deviceName} on ${to} already`));
      assert.deepEqual(more, []);
      assert.deepEqual(await comes({ keepsName: false }), []);
    });

    test('is another live device of that name, too', async () => {
      await device(liveTags(volumeId, 7));
      assert.equal(types(await comes()), 'DeviceExists');
    });

    test('is not what this volume’s own moves have there', async () => {
      await device(incomingTags(volumeId, migrationId, 1));
      assert.deepEqual(await comes(), []);
      await destination.delete(deviceName, { tags: [] });
      await device([
        ...liveTags(volumeId).filter((tag) => tag !== roleTag('live')),
        roleTag('kept'),
        keptTag(migrationId),
      ]);
      assert.deepEqual(await comes(), []);
    });

    test('is not the volume’s own device where source and destination are one place', async () => {
      assert.deepEqual(await comes({ backEnd: from }), []);
    });

    test('is that there is no room, and how much is missing; with the stale file at once', async () => {
      await staleFile();
      const reasons = await comes({ sizeBytes: 8 * mib });
      assert.equal(types(reasons), 'InsufficientSpace,DeviceExists');
      assert.match(reasons[0]!.message, /7\.0 MiB free; 8\.0 MiB are needed/);
    });

    test('is what keeps it from looking: the back end’s folder is gone', async () => {
      await rename(places.destination, `${places.destination}-elsewhere`);
      assert.equal(types(await comes()), 'BackEndUnavailable');
    });
  });
});
