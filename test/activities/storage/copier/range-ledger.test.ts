import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import { blockDigest, zeroBlockDigest } from '../../../../activities/storage/copier/digest-chain.ts';
import { blockBytes, rangeBytes } from '../../../../activities/storage/copier/geometry.ts';
import { RangeLedger } from '../../../../activities/storage/copier/range-ledger.ts';
import { copyStart } from '../../../../model/migration.ts';

const sizeBytes = 2 * rangeBytes + 3 * blockBytes + 4096;
const digests = Array.from({ length: Math.ceil(sizeBytes / blockBytes) }, () => blockDigest(randomBytes(64)));

function complete(ledger: RangeLedger, index: number): void {
  const offset = index * blockBytes;
  ledger.complete(offset, Math.min(blockBytes, sizeBytes - offset), digests[index]!, 0);
}

function inOrder(): RangeLedger {
  const ledger = new RangeLedger(sizeBytes, copyStart, true);
  digests.forEach((_, index) => complete(ledger, index));
  return ledger;
}

test('blocks finished in any order give the same digest', () => {
  const expected = inOrder().reached;
  assert.equal(expected.offset, sizeBytes);
  fc.assert(
    fc.property(fc.shuffledSubarray([...digests.keys()], { minLength: digests.length }), (order) => {
      const ledger = new RangeLedger(sizeBytes, copyStart, true);
      for (const index of order) complete(ledger, index);
      assert.deepEqual(ledger.reached, expected);
    }),
    { numRuns: 30 },
  );
});

test('what is reached never lies behind a gap', () => {
  const ledger = new RangeLedger(sizeBytes, copyStart, true);
  for (let index = 1; index < digests.length; index += 1) complete(ledger, index);
  assert.equal(ledger.reached.offset, 0);
  assert.equal(ledger.position, sizeBytes - blockBytes);
  complete(ledger, 0);
  assert.equal(ledger.reached.offset, sizeBytes);
});

test('a digest continued from a checkpoint is the digest made in one go', () => {
  const perRange = rangeBytes / blockBytes;
  const first = new RangeLedger(sizeBytes, copyStart, true);
  for (let index = 0; index < perRange + 5; index += 1) complete(first, index);
  assert.equal(first.reached.offset, rangeBytes);
  const second = new RangeLedger(sizeBytes, first.reached, true);
  for (let index = perRange; index < digests.length; index += 1) complete(second, index);
  assert.deepEqual(second.reached, inOrder().reached);
});

test('what has arrived counts as soon as it has, and once only', () => {
  const ledger = new RangeLedger(2 * blockBytes, copyStart, false);
  ledger.arrive(4096);
  assert.equal(ledger.position, 4096);
  ledger.complete(0, blockBytes, null, 4096);
  assert.equal(ledger.position, blockBytes);
});

test('without a digest there is no chain', () => {
  const ledger = new RangeLedger(blockBytes, copyStart, false);
  ledger.arrive(blockBytes);
  ledger.complete(0, blockBytes, null, blockBytes);
  assert.deepEqual(ledger.reached, { offset: blockBytes, chain: '', zeroed: false, transferred: blockBytes });
});

test('a hole is digested as the zeros it reads as', () => {
  assert.deepEqual(zeroBlockDigest(8192), blockDigest(new Uint8Array(8192)));
});

test('the digest of a known volume never changes, as old audit records hold it', () => {
  const ledger = new RangeLedger(rangeBytes + blockBytes, copyStart, true);
  for (let offset = 0; offset <= rangeBytes; offset += blockBytes) {
    ledger.complete(offset, blockBytes, blockDigest(new Uint8Array(blockBytes).fill(offset / blockBytes)), blockBytes);
  }
  assert.equal(ledger.reached.chain, '98fdf5542dbb69dc924176e905195d68ba92c239b19dd0c9fa613b23475c593b');
});
