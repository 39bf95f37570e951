import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createLvmDriver } from '../../../../activities/storage/lvm/lvm-driver.ts';
import { createThinLvmDriver } from '../../../../activities/storage/lvm/thin-lvm-driver.ts';
import type { RunCommand } from '../../../../activities/storage/run-command.ts';
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

  test('is put on although something else of the group is changed meanwhile, but never over another mark', async () => {
    const { lockDirectory } = node;
    const group = 'vg-b';
    /** What is done by somebody else between the look and the mark. */
    const meanwhile: (readonly [string, ...string[]])[] = [];
    const run: RunCommand = async (argv, options) => {
      const others = argv[0].endsWith('change') ? meanwhile.shift() : undefined;
      if (others) await node.run(others);
      return node.run(argv, options);
    };
    const thick = createLvmDriver({ volumeGroup: group, run, lockDirectory, otherPools: ['pool'] });
    const { mark: before } = await thick.identify();
    const [third, stranger] = [mark('server1@vg-b'), mark('server2@vg-b')];
    meanwhile.push(['lvchange', '--addtag', 'a', `${group}/pool`], ['lvchange', '--addtag', 'b', `${group}/pool`]);
    await thick.mark(third, before);
    assert.deepEqual((await thick.identify()).mark, third);
    const renamed = { ...third, backEnd: 'server3@vg-b' };
    meanwhile.push(['lvchange', '--deltag', 'a', `${group}/pool`]);
    await thick.mark(renamed, third);
    assert.deepEqual((await thick.identify()).mark, renamed);
    const change = (tag: string, to: string) => [
      '--deltag',
      `ferry.${tag}=${third.id}`,
      '--addtag',
      `ferry.${tag}=${to}`,
    ];
    meanwhile.push(['vgchange', ...change('storage', stranger.id), group]);
    await refuses(thick.mark(mark('server1@vg-b'), renamed), 'BackEndUnavailable');
    assert.equal((await thick.identify()).mark?.id, stranger.id);
  });
});
