import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import { createThinLvmDriver } from '../../../../activities/storage/lvm/thin-lvm-driver.ts';
import type { StorageSeen } from '../../../../model/storage-identity.ts';
import { refuses } from '../driver-conformance.ts';
import { mib, startLvmNode, type LvmNode } from './lvm-node.ts';

const volumeGroup = 'vg-a';
const mark = (backEnd: string) => ({ id: randomUUID(), registry: randomUUID(), backEnd });

describe("a volume group's mark", () => {
  let node: LvmNode;
  before(async () => {
    node = await startLvmNode([{ name: volumeGroup, sizeMib: 128 }]);
    const pool = ['lvcreate', '-qq', '-y', '--type', 'thin-pool', '--size', '32m', '-n', 'pool', volumeGroup] as const;
    await node.run(pool);
  });
  after(() => node?.stop());

  test('is put on once, is told with every report, and is the group’s own, not its pool’s', async () => {
    const seen: StorageSeen[] = [];
    const admit = async (each: StorageSeen) => void seen.push(each);
    const { run, lockDirectory } = node;
    const common = { volumeGroup, run, lockDirectory };
    const thick = createLvmDriver({ ...common, otherPools: ['pool'], admit });
    const thin = createThinLvmDriver({ ...common, thinPool: 'pool', maxOverSubscriptionRatio: 1, admit });
    const [first, second, ofPool] = [mark('server1@vg-a'), mark('server9@other'), mark('server1@pool')];

    const bare = await thick.identify();
    assert.equal(bare.mark, null);
    await thick.mark(first, null);
    await refuses(thick.mark(second, null), 'BackEndUnavailable');
    await refuses(thick.mark(first, second), 'BackEndUnavailable');
    await thin.mark(ofPool, null);
    const [group, pool] = [await thick.identify(), await thin.identify()];
    assert.deepEqual([group.mark, pool.mark], [first, ofPool]);
    assert.equal(group.uuid, bare.uuid);
    assert.notEqual(pool.uuid, group.uuid);
    assert.ok(group.sequence! > bare.sequence!);

    assert.equal(await thick.find('volume-1'), null);
    await thick.create({ name: 'volume-1', sizeBytes: 4 * mib, tags: ['ferry.volume=v1'], zero: false });
    await thick.list();
    assert.ok(seen.length >= 4);
    assert.ok(seen.every((each) => each.mark?.id === first.id && each.uuid === group.uuid));
    seen.length = 0;
    await thin.capacity();
    await thin.list();
    assert.deepEqual(
      seen.map((each) => [each.mark?.id, each.uuid]),
      [
        [ofPool.id, pool.uuid],
        [ofPool.id, pool.uuid],
      ],
    );

    await thick.mark(second, first);
    assert.deepEqual((await thick.identify()).mark, second);
    await node.run(['vgrename', volumeGroup, 'vg-b']);
    await assert.rejects(
      thick.find('volume-1'),
      /no volume group of that name.*vg-b is marked as back end server9@other/,
    );
    const elsewhere = createLvmDriver({ ...common, volumeGroup: 'vg-b', otherPools: ['pool'] });
    assert.deepEqual(await elsewhere.identify().then(({ mark: its, uuid }) => [its, uuid]), [second, group.uuid]);
  });
});
