import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import type { VolumeDriver } from '../../../../activities/storage/driver.ts';
import { refuses } from '../driver-conformance.ts';
import { mib, startLvmNode, type LvmNode } from './lvm-node.ts';

const volumeGroup = 'vg-a';
const [tag, other] = ['ferry.volume=v1', 'ferry.role=retired'] as const;
const sizeBytes = 8 * mib;

describe('a volume group that has lost one of its disks', () => {
  let node: LvmNode;
  let driver: VolumeDriver;
  before(async () => {
    node = await startLvmNode([
      { name: volumeGroup, sizeMib: 64 },
      { name: 'spare', sizeMib: 64 },
    ]);
    const { run, lockDirectory } = node;
    driver = createLvmDriver({ volumeGroup, run, lockDirectory });
    const disks = (await run(['pvs', '--noheadings', '--options', 'pv_name', '--select', 'vg_name=spare'])).stdout;
    const second = disks.trim();
    await run(['vgremove', '--yes', '-qq', 'spare']);
    await run(['vgextend', '-qq', volumeGroup, second]);
    for (const name of ['volume-1', 'volume-2']) await driver.create({ name, sizeBytes, tags: [tag], zero: false });
    const bad = ['lvcreate', '-y', '-qq', '-Zn', '-Wn', '-L', '8m', '-n', 'volume-bad', '--addtag', tag] as const;
    await run([...bad, volumeGroup, second]);
    // From now on lvm2 does not see it, as when it does not answer any more.
    const filter = `filter = [ "r|^${second}$|", "a|^/dev/ubd|", "r|.*|" ]`;
    await run(['sed', '-i', `s#filter = .*#${filter}#`, '/etc/lvm/lvm.conf']);
  });
  after(() => node?.stop());

  test('takes nothing, names what is lost, and lets what is well be read, marked and deleted', async () => {
    const { placementFault, lostDevices } = await driver.capacity();
    assert.match(placementFault ?? 'well', /1 of the physical volumes of vg-a are missing/);
    assert.deepEqual(lostDevices, ['volume-bad']);
    await refuses(driver.create({ name: 'new', sizeBytes, tags: [tag], zero: true }), 'BackEndUnavailable');
    await refuses(driver.extend('volume-1', 2 * sizeBytes, { tags: [tag] }), 'BackEndUnavailable');
    const found = await driver.find('volume-1');
    assert.equal(found?.sizeBytes, sizeBytes);
    await node.run(['cmp', `--bytes=${sizeBytes}`, '--', found.path, found.path]);
    const { identity } = found;
    await driver.hold('volume-1', { identity, tags: [tag] }, 'm1');
    await driver.retag('volume-1', { identity, tags: [tag] }, { add: [other], remove: [] });
    await driver.delete('volume-1', { identity, tags: [tag, other] });
    assert.deepEqual((await driver.list()).map(({ name }) => name).toSorted(), ['volume-2', 'volume-bad']);
  });
});
