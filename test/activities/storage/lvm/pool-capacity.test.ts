import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMetadataFull, poolCapacity, writableBytes } from '../../../../activities/storage/lvm/pool-capacity.ts';
import { gib } from '../../../../model/sizes.ts';

const mib = 1024 ** 2;
const pool = {
  sizeBytes: 100 * gib,
  chunkBytes: 64 * 1024,
  dataPercent: 0,
  metadataBytes: 128 * mib,
  metadataPercent: 1,
};
const volumes = (...sizes: number[]) => sizes.map((size) => ({ sizeBytes: size * gib }));

test('a pool that is not promised twice has free what no volume was promised, be it written or not', () => {
  assert.deepEqual(poolCapacity(pool, volumes(), 1), { totalBytes: 100 * gib, freeBytes: 100 * gib });
  assert.deepEqual(poolCapacity(pool, volumes(30, 20), 1), { totalBytes: 100 * gib, freeBytes: 50 * gib });
  assert.equal(poolCapacity(pool, volumes(90, 20), 1).freeBytes, 0);
});

test('one that may be promised several times has no more than that times what is really free', () => {
  assert.deepEqual(poolCapacity(pool, volumes(100), 3), { totalBytes: 300 * gib, freeBytes: 200 * gib });
  assert.equal(poolCapacity({ ...pool, dataPercent: 75 }, volumes(100), 3).freeBytes, 75 * gib);
  assert.equal(poolCapacity({ ...pool, dataPercent: 100 }, volumes(100), 3).freeBytes, 0);
});

test('what strangers have written without a promise that is counted is not free either', () => {
  assert.equal(poolCapacity({ ...pool, dataPercent: 60 }, volumes(10), 1).freeBytes, 40 * gib);
});

test('chunks that the metadata cannot map any more are not free', () => {
  // 10 % is the kernel's own: of 128 MiB, 1.28 MiB are left at 89 %, for 64 bytes a chunk.
  const left = writableBytes({ ...pool, metadataPercent: 89 });
  assert.ok(Math.abs(left - ((1.28 * mib) / 64) * 64 * 1024) < mib, String(left));
  assert.equal(writableBytes({ ...pool, metadataPercent: 95 }), 0);
  assert.equal(poolCapacity({ ...pool, metadataPercent: 90 }, volumes(), 1).freeBytes, 0);
});

test('metadata is full when no more is left than the kernel keeps back: a tenth, at most 16 MiB', () => {
  assert.deepEqual(
    [89.9, 90, 100].map((percent) => isMetadataFull(128 * mib, percent)),
    [false, true, true],
  );
  assert.deepEqual(
    [98, 98.5].map((percent) => isMetadataFull(gib, percent)),
    [false, true],
  );
});
