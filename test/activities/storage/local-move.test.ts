import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import { liveTags } from '../../../model/device.ts';
import { runStep } from './run-step.ts';

// What fails here fails on purpose.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const sizeBytes = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const deviceName = `volume-${volumeId}`;

// The look before a migration is left out on a node that does not answer in time, and of a second name nothing is held or copied.
test('a volume that somebody has open gets no second name, also when nobody was asked before', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-local-move-'));
  try {
    const drivers = new Map(
      await Promise.all(
        ['one', 'two'].map(async (name) => {
          await mkdir(join(folder, name));
          return [`server1@${name}`, createDirectoryDriver({ path: join(folder, name) })] as const;
        }),
      ),
    );
    const [one, two] = [drivers.get('server1@one')!, drivers.get('server1@two')!];
    const { path } = await one.create({ name: deviceName, sizeBytes, tags: liveTags(volumeId), zero: false });
    const deps = { drivers, exports: { list: async () => [] }, noProgressMs: 60_000 };
    const { prepareLocalMove } = createStorageActivities(deps as unknown as StorageDependencies);
    const move = () =>
      runStep(prepareLocalMove, {
        ...{ backEnd: 'server1@two', deviceName, sizeBytes, volumeId, migrationId, generation: 1, labels: [] },
        source: { backEnd: 'server1@one', deviceName, volumeId, identity: null, generation: 0 },
      });
    const writer = await open(path, 'r+');
    try {
      await assert.rejects(move(), { type: 'VolumeInUse', message: new RegExp(`process ${process.pid} `) });
      assert.equal(await two.find(deviceName), null);
    } finally {
      await writer.close();
    }
    assert.equal((await move()).shared, true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
