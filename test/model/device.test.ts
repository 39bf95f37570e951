import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asId, labelsOf, labelTags, liveTags, migrationTag, standingOf } from '../../model/device.ts';

const id = '6f1f2f60-0d3c-4c4e-9a53-52a1f6a5cf01';
const other = '6f1f2f60-0d3c-4c4e-9a53-52a1f6a5cf02';
const odd = ['', 'x', '../..', `${id}x`, id.toUpperCase(), '6f1f2f60-0d3c-9c4e-0a53-52a1f6a5cf01'];

describe('a tag that holds no id tells nothing', () => {
  for (const text of odd)
    test(JSON.stringify(text), () => {
      const prefixes = ['volume', 'migration', 'kept', 'retired'].map((name) => `ferry.${name}=${text}`);
      const { volumeId, migrationId, keptBy, retiredBy } = standingOf(prefixes);
      assert.deepEqual([volumeId, migrationId, keptBy, retiredBy], [null, null, null, null]);
      assert.equal(asId(text), null);
    });

  test('beside one that does, it is passed over', () => {
    const standing = standingOf([...liveTags(id, 3), migrationTag('oops'), migrationTag(other)]);
    assert.deepEqual(
      [standing.volumeId, standing.role, standing.generation, standing.migrationId],
      [id, 'live', 3, other],
    );
  });
});

describe('what a device says of its volume', () => {
  test('comes back as it was written', () => {
    const labels = { tenantId: 'tenant-1', name: 'a b+c/ü', volumeType: 'fast' };
    assert.deepEqual(labelsOf(labelTags(labels)), labels);
  });
  for (const [what, tag] of [
    ['a NUL byte', 'ferry.name=a+00b'],
    ['an escape sequence', 'ferry.name=+1B[31m'],
    ['a tenant that is none', 'ferry.tenant=/../'],
    ['half a sign', 'ferry.type=+FF'],
  ] as const)
    test(`is nothing when it holds ${what}`, () =>
      assert.deepEqual(labelsOf([tag]), { tenantId: null, name: null, volumeType: null }));
});
