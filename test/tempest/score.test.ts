import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { scored, wantedOf, type Ended } from './score.ts';

const read = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');
const ended = (id: string, outcome = 'success', reason = ''): Ended => ({ id, outcome, seconds: 1, reason });

test('the table counts by need and group; what failed, was skipped or never ran has not passed', () => {
  const wanted = wantedOf(
    'api\tlists\ta.B.test_1\napi\tlists\ta.B.test_2\nrow\tquotas\ta.C.test_3\ndata\tclones\ta.D.test_4\n',
  );
  const { text, missing } = scored(wanted, [
    ended('a.B.test_1[id-1,smoke]'),
    ended('a.B.test_2[id-2]', 'fail', 'Expected 202\n  got 500'),
    ended('setUpClass (a.C)', 'skip', 'no quotas here'),
    ended('a.E.test_5'),
  ]);
  assert.equal(missing, 3);
  assert.deepEqual(text.split('\n'), [
    'api\tfail\ta.B.test_2\tExpected 202 got 500',
    'row\tskip\ta.C.test_3\tno quotas here',
    'data\tnot run\ta.D.test_4\t',
    'api: 1/2',
    '      1/2  lists',
    'row: 0/1',
    '      0/1  quotas',
    'data: 0/1',
    '      0/1  clones',
    'all: 1/4',
  ]);
});

test('every test that is wanted is named once, and none that is left out; each of those has a reason', async () => {
  const wanted = wantedOf(await read('ids.tsv'));
  const leftOut = (await read('left-out.tsv'))
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
  const counted = Object.groupBy(wanted, ({ need }) => need);
  assert.deepEqual([counted.api?.length, counted.row?.length, counted.data?.length], [87, 77, 18]);
  const ids = [...wanted.map(({ id }) => id), ...leftOut.map(([id]) => id)];
  assert.equal(new Set(ids).size, ids.length);
  for (const [id, reason] of leftOut) assert.match(reason ?? '', /\w/, id);
});
