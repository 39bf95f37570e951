import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { pino } from 'pino';
import { createDirectoryDriver } from '../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../activities/storage/driver.ts';
import type { Exports } from '../../activities/storage/exports.ts';
import { deviceName } from '../../model/names.ts';
import { liveTags } from '../../model/device.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { removeFolder } from '../../setup/remove-folder.mjs';
import { restoreExports } from '../../workers/restore-exports.ts';
import { freePort } from '../activities/storage/copier/source-server.ts';
import { testRegistry } from '../registry/database.ts';
import { putAttachment, putBackEnd, putVolume, source } from '../registry/world.ts';
import { loopbackExports } from '../activities/storage/exports/loopback-exports.ts';

const mib = 1024 ** 2;

describe('the export of an attached volume, whose server is gone', () => {
  let folder: string;
  let driver: VolumeDriver;
  let exports: Exports;
  let registry: Registry;
  let path: string;
  const said: string[] = [];
  const exportName = 'attachment-6088f80a-f116-4331-ad48-9afb0dfb196c';
  let other: ChildProcess | null = null;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-restore-'));
    driver = createDirectoryDriver({ path: folder });
    const from = await freePort();
    exports = loopbackExports({ stateDirectory: join(folder, 'state'), ports: { from, to: from + 4 } });
    registry = await testRegistry();
    await putBackEnd(registry, source);
    const id = await putVolume(registry, { status: 'in-use', size_bytes: mib });
    const name = deviceName({ id, nameId: null });
    const device = await driver.create({ name, sizeBytes: mib, tags: liveTags(id), zero: false });
    ({ path } = device);
    const connection = { protocol: 'nbd', host: '127.0.0.1', port: from, exportName, tls: false, backEnd: source };
    await putAttachment(registry, id, { compute_host: 'server1', connection: { ...connection, device: name } });
  });
  afterEach(async () => {
    said.length = 0;
    if (other?.kill('SIGKILL')) await once(other, 'exit');
    other = null;
    await exports.remove(exportName);
  });
  after(async () => {
    await registry?.close();
    removeFolder(folder);
  });

  /** Somebody on the node itself has the device open, by another way than the export. */
  async function opens(...options: string[]): Promise<void> {
    other = spawn('qemu-io', ['-f', 'raw', ...options, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    other.stdin!.write('read 0 4k\n');
    await once(other.stdout!, 'data');
  }
  async function restore(): Promise<boolean> {
    const log = pino({ level: 'error' }, { write: (line: string) => said.push(line) });
    const drivers = new Map([[source, driver]]);
    await restoreExports({ drivers, exports, registry, log, guestMigration: true });
    return (await exports.list()).some((each) => each.exportName === exportName);
  }

  test('comes back', async () => {
    assert.equal(await restore(), true);
  });

  test('comes back beside somebody who only reads', async () => {
    await opens('-r');
    assert.equal(await restore(), true);
  });

  test('stays away while somebody else may write: a guest that has the disk by its path, say', async () => {
    await opens();
    assert.equal(await restore(), false);
    assert.match(said.join(''), /process \d+ \(qemu-io\)/);
  });
});
