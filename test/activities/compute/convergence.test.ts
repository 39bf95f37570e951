import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { convergence } from '../../../activities/compute/convergence.ts';

/** What is said each second while so much is left. */
function told(left: (second: number) => number, seconds: number, windowSeconds = 10): boolean[] {
  const mirror = convergence();
  return Array.from({ length: seconds }, (_, second) =>
    mirror.outpaced(left(second), second * 1000, windowSeconds * 1000),
  );
}

describe('a mirror whose guest goes on writing', () => {
  test('comes to its end as long as less and less is left', () => {
    assert.ok(!told((second) => 1000 - second, 100).includes(true));
  });

  test('does not, when what is left stays the same or grows; that is said after two windows', () => {
    for (const left of [() => 1000, (second: number) => 1000 + second]) {
      const said = told(left, 40);
      assert.deepEqual([said.indexOf(true), said.slice(20).includes(false)], [20, false]);
    }
  });

  test('is not taken for outpaced while QEMU rests between two bursts', () => {
    assert.ok(!told((second) => 1000 - 100 * Math.floor(second / 9) + (second % 9), 80).includes(true));
  });

  test('is on its way again as soon as a window has brought it nearer', () => {
    const said = told((second) => (second < 30 ? 1000 : 1000 - 10 * (second - 30)), 60);
    assert.deepEqual([said[29], said.slice(41).includes(true)], [true, false]);
  });
});
