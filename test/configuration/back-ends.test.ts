import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configuration } from '../../configuration/schema.ts';

const parse = (backEnd: object) =>
  configuration.safeParse({ node: { name: 'server1', backEnds: [{ name: 'b', ...backEnd }] } });
const lvm = { driver: 'lvm', volumeGroup: 'vg' };

test('an LVM back end is a volume group, or a thin pool of it that may be promised more than once', () => {
  for (const ok of [lvm, { ...lvm, thinPool: 'pool' }, { ...lvm, thinPool: 'pool', maxOverSubscriptionRatio: 2.5 }])
    assert.equal(parse(ok).success, true, JSON.stringify(ok));
});

test('what makes no sense of a thin pool is named with its field', () => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ ...lvm, thinPool: '--yes' }, /is not a thin pool name/],
    [{ ...lvm, thinPool: 'a/b' }, /is not a thin pool name/],
    [{ ...lvm, thinPool: 'pool', maxOverSubscriptionRatio: 0.5 }, /maxOverSubscriptionRatio/],
    [{ ...lvm, maxOverSubscriptionRatio: 2 }, /is for a thinPool/],
    [{ driver: 'directory', path: '/x', thinPool: 'pool' }, /thinPool/],
  ];
  for (const [backEnd, message] of wrong)
    assert.match(parse(backEnd).error?.message ?? 'taken', message, JSON.stringify(backEnd));
});
