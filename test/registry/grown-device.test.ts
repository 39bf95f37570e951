import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { judgeVolumes, type JudgedVolume } from '../../activities/repair/judge-volumes.ts';
import { createDirectoryDriver } from '../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../activities/storage/driver.ts';
import { takeInventory } from '../../activities/storage/inventory.ts';
import { liveTags, unzeroedTag, volumeTag } from '../../model/device.ts';
import { gib } from '../../model/sizes.ts';
import { adoptFoundDevice } from '../../registry/adopt-device.ts';
import { needsRepair } from '../../registry/discrepancies.ts';
import { currentDevices } from '../../registry/leftovers.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { putBackEnd, putVolume, source } from './world.ts';

describe('a device whose size is not the registry’s', () => {
  let registry: Registry;
  let path: string;
  let driver: VolumeDriver;
  let id: string;
  let unseen: string[] = [];
  const name = () => `volume-${id}`;

  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
  });
  beforeEach(async () => {
    unseen = [];
    path = await mkdtemp(join(tmpdir(), 'ferry-grown-'));
    driver = createDirectoryDriver({ path });
    await registry.rows(noColumns, 'DELETE FROM volumes');
    id = await putVolume(registry);
    await driver.create({ name: name(), sizeBytes: gib, tags: liveTags(id), zero: false });
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  async function look(): Promise<JudgedVolume | null> {
    const inventory = await takeInventory({
      drivers: new Map([[source, driver]]),
      exports: { list: async () => [] } as never,
      currentDevices: (backEnd) => currentDevices(registry, backEnd),
    });
    const [judged, ...others] = await judgeVolumes(registry, { ...inventory, unseen });
    assert.deepEqual(others, []);
    return judged ?? null;
  }
  const status = (to: string) => registry.rows(noColumns, 'UPDATE volumes SET status = $1', [to]);

  test('of the same size all is well', async () => {
    assert.equal(await look(), null);
  });

  test('that grew in an extension of which the registry has lost the end is believed: the registry follows', async () => {
    await driver.extend(name(), 3 * gib, { tags: [volumeTag(id)] });
    const judged = await look();
    assert.equal(judged?.told.direction, 'adopt');
    assert.match(judged.told.why, /has 3 GiB, the registry says 1 GiB/);
    assert.equal(await needsRepair(registry, source), true);
    await adoptFoundDevice(registry, judged.found!);
    assert.equal((await findVolume(registry, id)).sizeBytes, 3 * gib);
    assert.equal(await look(), null);
    assert.equal(await needsRepair(registry, source), false);
  });

  test('that grew, while a node does not answer that may have a newer one, is for later', async () => {
    await driver.extend(name(), 3 * gib, { tags: [volumeTag(id)] });
    unseen = ['server2'];
    const judged = await look();
    assert.equal(judged?.told.direction, 'ask');
    assert.match(judged.told.why, /server2 did not answer/);
  });

  test('whose new bytes may show what was on the disk before is not believed, but extended once more', async () => {
    await driver.extend(name(), 3 * gib, { tags: [volumeTag(id)] });
    await driver.retag(name(), { tags: [] }, { add: [unzeroedTag(gib)], remove: [] });
    const judged = await look();
    assert.equal(judged?.told.direction, 'ask');
    assert.match(judged.told.why, new RegExp(`ferry extend ${id}`));
  });

  test('that is smaller is for an operator: bytes are missing', async () => {
    await truncate((await driver.find(name()))!.path, gib / 2);
    const judged = await look();
    assert.equal(judged?.told.direction, 'ask');
    assert.match(judged.told.why, /only 512 MiB of 1 GiB/);
  });

  test('that is being extended, or whose extension failed, is no discrepancy', async () => {
    await driver.extend(name(), 3 * gib, { tags: [volumeTag(id)] });
    await status('error_extending');
    assert.equal(await look(), null);
    await status('available');
    assert.notEqual(await look(), null);
  });
});
