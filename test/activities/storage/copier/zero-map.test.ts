import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { blockBytes, cellBytes } from '../../../../activities/storage/copier/geometry.ts';
import { fillGaps, nonZeroRuns } from '../../../../activities/storage/copier/write-block.ts';
import { ZeroMaps, type AskExtents } from '../../../../activities/storage/copier/zero-map.ts';

interface Extent {
  readonly length: number;
  readonly zero: boolean;
}

/** Answers as a server may: from the offset asked, but only `atOnce` extents. */
function ask(extents: readonly Extent[], atOnce: number): AskExtents {
  return async (offset, length, onExtent) => {
    let at = 0;
    let told = 0;
    for (const extent of extents) {
      const from = Math.max(at, offset);
      const to = Math.min(at + extent.length, offset + length);
      at += extent.length;
      if (from >= to || told === atOnce) continue;
      onExtent(to - from, extent.zero);
      told += 1;
    }
  };
}

async function dataCells(sizeBytes: number, question: AskExtents | null): Promise<boolean[]> {
  const maps = new ZeroMaps(sizeBytes, question);
  const cells: boolean[] = [];
  for (let offset = 0; offset < sizeBytes;) {
    const map = await maps.next(offset);
    assert.equal(map.from, offset);
    assert.ok(map.to === sizeBytes || map.to % blockBytes === 0);
    for (; offset < map.to; offset += blockBytes) {
      const length = Math.min(blockBytes, sizeBytes - offset);
      const runs = map.dataRuns(offset, length);
      for (let at = 0; at < length; at += cellBytes) cells.push(runs.some(([from, to]) => from <= at && at < to));
    }
    offset = map.to;
  }
  return cells;
}

test('whatever a server tells at once, no data is taken for a hole, and every large hole is seen', async () => {
  const extent = fc.record({ length: fc.integer({ min: 1, max: 3000 }).map((n) => n * 1024), zero: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(extent, { minLength: 1, maxLength: 30 }),
      fc.constantFrom(1, 3, Infinity),
      async (extents, atOnce) => {
        const sizeBytes = extents.reduce((sum, { length }) => sum + length, 0);
        const cells = await dataCells(sizeBytes, ask(extents, atOnce));
        let at = 0;
        for (const { length, zero } of extents) {
          const first = Math.floor(at / cellBytes);
          const last = Math.ceil((at + length) / cellBytes);
          if (!zero) assert.ok(cells.slice(first, last).every(Boolean));
          at += length;
        }
        if (atOnce !== Infinity) return;
        const zeroEverywhere = extents.every(({ zero }) => zero);
        if (zeroEverywhere) assert.ok(!cells.some(Boolean));
      },
    ),
    { numRuns: 200 },
  );
});

test('without an answer about holes, all is data', async () => {
  const cells = await dataCells(5 * cellBytes, null);
  assert.deepEqual(cells, [true, true, true, true, true]);
});

test('holes are seen to the cell', async () => {
  const question = ask(
    [
      { length: cellBytes, zero: false },
      { length: 4 * cellBytes, zero: true },
      { length: 3 * cellBytes, zero: false },
    ],
    Infinity,
  );
  assert.deepEqual(await dataCells(8 * cellBytes, question), [true, false, false, false, false, true, true, true]);
});

test('an error of the question reaches whoever asks, also for the window read ahead', async () => {
  const maps = new ZeroMaps(blockBytes * 4, async (offset, _length, onExtent) => {
    if (offset > 0) throw new Error('no more');
    onExtent(blockBytes, true);
  });
  assert.equal((await maps.next(0)).to, blockBytes);
  await assert.rejects(maps.next(blockBytes), /no more/);
});

test('only cells that are not all zeros are written', () => {
  const block = new Uint8Array(blockBytes);
  assert.deepEqual(nonZeroRuns(block), []);
  block[cellBytes] = 1;
  block[3 * cellBytes - 1] = 1;
  assert.deepEqual(nonZeroRuns(block), [[cellBytes, 3 * cellBytes]]);
  assert.deepEqual(nonZeroRuns(block.subarray(0, cellBytes + 512)), [[cellBytes, cellBytes + 512]]);
});

test('a reused buffer shows nothing of its last block between the runs of the next', () => {
  const block = new Uint8Array(blockBytes).fill(7);
  fillGaps(block, [[cellBytes, 2 * cellBytes]]);
  assert.deepEqual(nonZeroRuns(block), [[cellBytes, 2 * cellBytes]]);
});
