import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chaos } from './chaos.ts';

/** The whole thousand is started by hand: `npm run chaos -- --runs 1000`. One of these has a guest. */
const bounded = { runs: 8, seed: 20_261_126, lanes: 7 };

test('volumes live random lives while everything fails at random: none is harmed', async () => {
  const tally = await chaos(bounded);
  console.log(tally.text());
  assert.equal(tally.violations.length, 0, JSON.stringify(tally.violations));
  assert.ok((tally.counts['migration']?.['success'] ?? 0) > 0, 'no volume moved');
  assert.ok(tally.counts['life']?.["guest's: well"], 'no guest was there');
  assert.ok(tally.total('disturbance') > 0, 'nothing happened');
});
