import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { laneOf, lanes, longest, startsGuests, testFiles } from '../../setup/lanes.mjs';
import { purposes } from '../../setup/needs.mjs';

const root = join(import.meta.dirname, '../..');

test('a test is in the lane of what it needs', () => {
  const expected = {
    'test/model/placement/plan-moves.test.ts': 'unit',
    'test/activities/compute/verdict.test.ts': 'unit',
    'test/registry/races.test.ts': 'registry',
    'test/activities/storage/file-lock.test.ts': 'nodes',
    'test/workflows/evacuation.test.ts': 'nodes',
    'test/testbed/nodes.test.ts': 'nodes',
    'test/end-to-end/attached.test.ts': 'attached',
    'test/demo/demo.test.ts': 'attached',
    'test/testbed/libvirt/start-libvirt.test.ts': 'attached',
  } as const;
  for (const [file, lane] of Object.entries(expected)) assert.equal(laneOf(file), lane, file);
});

test('the long tests that begin first are there', () => {
  const all = testFiles([]);
  assert.deepEqual(
    longest.filter((file) => !all.includes(file)),
    [],
  );
});

test('the tests that start nodes as guests are known', () => {
  const guests = testFiles([]).filter(startsGuests);
  const some = [
    'demo/demo',
    'end-to-end/thin',
    'end-to-end/operations',
    'activities/storage/lvm/lvm-driver',
    'testbed/nodes',
  ];
  for (const each of some) assert.ok(guests.includes(`test/${each}.test.ts`), each);
  for (const each of ['end-to-end/copies', 'faults/matrix', 'end-to-end/attached'])
    assert.ok(!guests.includes(`test/${each}.test.ts`), each);
});

test('each lane has tests, a command and needs of its own', async () => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const used = new Set(testFiles([]).map(laneOf));
  for (const lane of lanes) {
    assert.ok(used.has(lane), lane);
    assert.equal(scripts[`test:${lane}`], `node setup/run.mjs test:${lane}`);
    for (const part of purposes[`test:${lane}`].needed) assert.ok(purposes.test.needed.includes(part), part);
  }
});

test('a folder or file that is not there, or has no test, is named', () => {
  assert.throws(() => testFiles(['missing-folder']), /There is no missing-folder in .*npm test -- .*test\/model/);
  assert.throws(() => testFiles(['model']), /There is no test in model/);
  assert.throws(() => testFiles(['setup/run.mjs']), /is not a test; those end in \.test\.ts/);
  assert.throws(() => testFiles(['test/model', 'test/nothing.test.ts']), /There is no test\/nothing\.test\.ts/);
});

test('what is named is found once', () => {
  const file = 'test/model/placement/plan-moves.test.ts';
  assert.deepEqual(testFiles([file, join(root, file)]), [file]);
  assert.ok(testFiles(['test/model/']).includes(file));
});
