import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { gib, sizeBytes, sizeText, sizeWords, volumeSize } from '../../model/sizes.ts';
import { sizeObstacle } from '../../model/unmanaged-device.ts';

const mib = 1024 ** 2;

test('a size that people ask for is whole GiB without a unit, and any whole MiB with one', () => {
  const asked = { '2': 2 * gib, '64MiB': 64 * mib, '65 mib': 65 * mib, '1.5GiB': 1536 * mib, '1TiB': 1024 * gib };
  for (const [text, bytes] of Object.entries({ ...asked, '2048KiB': 2 * mib, '65536': 65_536 * gib }))
    assert.equal(volumeSize.parse(text), bytes, text);
  const refused: [string, RegExp][] = [
    ['1.5', /not a whole number of GiB/],
    ['100KiB', /not a whole number of MiB/],
    ['0.3GiB', /not a whole number of MiB/],
    ['0', /too small/],
    ['0TiB', /too small/],
    ['65537', /too large/],
    ['9'.repeat(400), /too large/],
    ...['', '-1', 'big', '64MB', '64M', '1e2', '0x10', 'MiB', '64MiB/s'].map((text): [string, RegExp] => [
      text,
      /is not a size/,
    ]),
  ];
  for (const [text, why] of refused) assert.match(volumeSize.safeParse(text).error!.issues[0]!.message, why, text);
});

test('what is shown of a size is exact, and makes the same size again', () => {
  assert.deepEqual([2 * gib, 64 * mib, 10_244 * mib, 65 * 1024, 512].map(sizeText), [
    '2',
    '64MiB',
    '10244MiB',
    '65KiB',
    '512B',
  ]);
  assert.deepEqual([2 * gib, 64 * mib, 512].map(sizeWords), ['2 GiB', '64 MiB', '512 B']);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_536 * 1024 }), (wholeMib) => {
      assert.equal(volumeSize.parse(sizeText(wholeMib * mib)), wholeMib * mib);
      assert.equal(volumeSize.parse(sizeWords(wholeMib * mib)), wholeMib * mib);
    }),
  );
});

test('a volume and an adopted device may have any number of whole sectors, up to 64 TiB', () => {
  for (const bytes of [512, 10_244 * mib, gib + 512, 65_536 * gib]) {
    assert.equal(sizeBytes.parse(bytes), bytes);
    assert.equal(sizeObstacle(bytes), null);
  }
  for (const bytes of [0, 511, gib + 1, 65_536 * gib + 512, -512, 1.5, Infinity])
    assert.equal(sizeBytes.safeParse(bytes).success, false, String(bytes));
  assert.match(sizeObstacle(1000)!, /1000 bytes, is not a multiple of 512 bytes; extend it to 1024 bytes first/);
  assert.match(sizeObstacle(0)!, /extend it to 512 bytes first/);
  assert.match(sizeObstacle(65_536 * gib + 512)!, /is too large \(65536 GiB at most\)$/);
});
