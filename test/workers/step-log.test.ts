import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idsIn } from '../../workers/step-log.ts';

test('a line about a step has the ids of what the step is for, also those of its claim', () => {
  const claim = { migrationId: 'm', volumeId: 'v', epoch: 3, owner: 'somebody' };
  assert.deepEqual(idsIn({ claim, phase: 'copying' }), { migrationId: 'm', volumeId: 'v' });
  assert.deepEqual(idsIn({ backEnd: 'a@b', volumeId: 'v', migrationId: 'm', sizeBytes: 1 }), {
    backEnd: 'a@b',
    volumeId: 'v',
    migrationId: 'm',
  });
});

test('odd inputs have no ids, and do no harm', () => {
  for (const input of [undefined, null, 'text', 7, [], { volumeId: 7, claim: 'none' }])
    assert.deepEqual(idsIn(input), {});
});
