import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { copyStart, verifyModeFor, type Checkpoint } from '../../model/migration.ts';
import { difference, proofOf } from '../../model/proof.ts';

const names = { source: 'volume-1 on server1@a', destination: 'volume-2 on server2@b' };
const of = (chain: string, medium: Checkpoint['medium'] = 'direct'): Checkpoint => ({ ...copyStart, chain, medium });
const compare = (arrived: string, readBack: string, source: string | null) =>
  difference({ arrived: of(arrived), readBack: of(readBack), source: source === null ? null : of(source) }, names);

describe('the digests of a copy', () => {
  test('prove it when all are equal', () => {
    assert.equal(compare('a', 'a', 'a'), null);
    assert.equal(compare('a', 'a', null), null);
  });

  test('say which side is another', () => {
    assert.match(compare('a', 'b', 'a')!, /^volume-2 on server2@b does not hold what arrived/);
    assert.match(compare('a', 'b', null)!, /^volume-2 on server2@b does not hold what arrived/);
    assert.match(compare('a', 'a', 'b')!, /^volume-1 on server1@a, read again .* changed on their way/);
    assert.match(compare('a', 'b', 'b')!, /hold the same, but the digest of what arrived/);
    assert.match(compare('a', 'b', 'c')!, /three different things/);
  });

  test('prove no more than what was not read from memory', () => {
    assert.equal(proofOf('both', [of('a'), of('a', 'dropped')]), 'both');
    assert.equal(proofOf('both', [of('a'), of('a', 'cache')]), 'cache');
    assert.equal(proofOf('reread', [of('a', 'cache'), null]), 'cache');
    assert.equal(proofOf('reread', [of('a'), null]), 'reread');
  });
});

test('a way that notices no changes is compared at both of its ends: without a word, and where `reread` was asked for', () => {
  for (const asked of [null, 'reread'] as const) {
    assert.equal(verifyModeFor(asked, { tls: false }), 'both');
    assert.equal(verifyModeFor(asked, { tls: true }), 'reread');
  }
  for (const asked of ['both', 'inline', 'none'] as const)
    for (const tls of [true, false]) assert.equal(verifyModeFor(asked, { tls }), asked);
});
