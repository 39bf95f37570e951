import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import type { ExportAddress, Exports } from '../../../activities/storage/exports.ts';
import { liveTags } from '../../../model/device.ts';
import { ferryError } from '../../registry/world.ts';
import { freePort } from './copier/source-server.ts';
import { runStep } from './run-step.ts';
import { loopbackExports } from './exports/loopback-exports.ts';

// What is refused here on purpose is nobody's trouble.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const mib = 1024 ** 2;
const [volumeId, migrationId] = ['6088f80a-f116-4331-ad48-9afb0dfb196c', '11111111-1111-4111-8111-111111111111'];
const [backEnd, deviceName] = ['server1@a', `volume-${volumeId}`];

/** What connects as a guest does that Ferry knows nothing of: renamed, destroyed and started by hand, on another hypervisor. */
class Client {
  readonly #process;
  private constructor(at: string, ...options: string[]) {
    this.#process = spawn('qemu-io', ['-f', 'raw', ...options, at], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#process.stdout.setEncoding('utf8');
  }
  static async of({ port, exportName }: ExportAddress, ...options: string[]): Promise<Client> {
    const client = new Client(`nbd://127.0.0.1:${port}/${exportName}`, ...options);
    await client.do('read 0 4k', /read 4096\/4096/);
    return client;
  }
  /** Rejects if the connection is gone. */
  async do(command: string, expected: RegExp): Promise<void> {
    this.#process.stdin.write(`${command}\n`);
    for (let said = ''; !expected.test(said);) {
      said += String((await once(this.#process.stdout, 'data'))[0]);
      assert.doesNotMatch(said, /failed|error/i);
    }
  }
  write = () => this.do('write -f -P 7 0 4k', /wrote 4096\/4096/);
  async leave(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

describe('an export is not taken away from whoever is connected to it', () => {
  let folder: string;
  let driver: VolumeDriver;
  let exports: Exports;
  let activities: StorageActivities;
  let path: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-clients-'));
    driver = createDirectoryDriver({ path: folder });
    const from = await freePort();
    exports = loopbackExports({ stateDirectory: join(folder, 'state'), ports: { from, to: from + 20 } });
    const deps: Partial<StorageDependencies> = {
      drivers: new Map([[backEnd, driver]]),
      exports,
      isCurrentLocation: async () => false,
      isKeptSource: async () => true,
    };
    activities = createStorageActivities(deps as StorageDependencies);
    await driver.create({ name: deviceName, sizeBytes: mib, tags: liveTags(volumeId), zero: true });
    path = (await driver.find(deviceName))!.path;
  });
  after(async () => {
    for (const { exportName } of await exports.list()) await exports.remove(exportName);
    await rm(folder, { recursive: true });
  });

  const serve = (exportName: string, writable = true) => exports.ensure({ exportName, path, writable, tags: [] });
  const names = async () => (await exports.list()).map(({ exportName }) => exportName);
  const left = { backEnd, deviceName, volumeId, migrationId };

  for (const [what, exportName, end] of [
    ['a detach', 'attachment-1', (exportName) => runStep(activities.removeExport, { backEnd, exportName })],
    ['an undo or a repair', deviceName, (exportName) => runStep(activities.removeExport, { backEnd, exportName })],
    [
      'a source that is left',
      'attachment-2',
      (exportName) => runStep(activities.retireSource, { ...left, exportName, proof: null }),
    ],
    ['a source that is kept', 'attachment-3', (exportName) => runStep(activities.keepSource, { ...left, exportName })],
  ] as const satisfies readonly (readonly [string, string, (exportName: string) => Promise<void>])[]) {
    test(`${what} names him, and he writes on`, async () => {
      const client = await Client.of(await serve(exportName));
      try {
        await assert.rejects(end(exportName), (error) => {
          ferryError('VolumeInUse')(error);
          assert.match((error as Error).message, new RegExp(`${exportName}.* 127\\.0\\.0\\.1:\\d+ is connected`));
          return true;
        });
        await client.write();
        assert.ok((await names()).includes(exportName));
      } finally {
        await client.leave();
        await exports.remove(exportName);
      }
    });
  }

  test('who only reads is not cut off either: his guest would lose its disk', async () => {
    const client = await Client.of(await serve('attachment-ro', false), '-r');
    try {
      await assert.rejects(
        runStep(activities.removeExport, { backEnd, exportName: 'attachment-ro' }),
        ferryError('VolumeInUse'),
      );
      await client.do('read 0 4k', /read 4096\/4096/);
    } finally {
      await client.leave();
    }
  });

  test('who is just about to let go is waited for', async () => {
    const client = await Client.of(await serve('attachment-4'));
    const ended = runStep(activities.removeExport, { backEnd, exportName: 'attachment-4' });
    await client.write();
    await client.leave();
    await ended;
    assert.ok(!(await names()).includes('attachment-4'));
  });

  test('a copy’s own reader, and a mirror that hangs and is to be freed, are', async () => {
    const reader = await Client.of(await serve('migration-1', false), '-r');
    const mirror = await Client.of(await serve(deviceName));
    try {
      await runStep(activities.removeExport, { backEnd, exportName: 'migration-1' });
      await runStep(activities.removeExport, { backEnd, exportName: deviceName, cut: true });
      const now = await names();
      assert.ok(!now.includes('migration-1') && !now.includes(deviceName));
    } finally {
      await reader.leave();
      await mirror.leave();
    }
  });
});
