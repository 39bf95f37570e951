import assert from 'node:assert/strict';
import test from 'node:test';
import { Standing } from '../../activities/standing.ts';

test('work stands still for as long as it was looked at', () => {
  let now = 0;
  const standing = new Standing(() => now);
  const lookAfter = (ms: number) => {
    now += ms;
    return standing.look();
  };
  assert.deepEqual([1000, 1000, 1500].map(lookAfter), [1000, 2000, 3500]);
  assert.equal(lookAfter(3_600_000), 5500, 'an hour of which nothing was seen');
  now += 400;
  standing.moved();
  assert.deepEqual([0, 1000].map(lookAfter), [0, 1000]);
});
