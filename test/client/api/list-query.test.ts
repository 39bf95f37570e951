import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../../client/api/fault.ts';
import { dictionaryOf, listQuery, nextLinks, page } from '../../../client/api/list-query.ts';

const read = (text: string) => listQuery(new URLSearchParams(text));

function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    assert.ok(error instanceof Fault);
    assert.equal(error.status, 400);
    return error.message;
  }
  throw new Error(`${text} was not refused`);
}

test('a list says how much of it is wanted, from where, in what order', () => {
  assert.deepEqual(read('limit=2&marker=m&offset=1&sort=name:asc,size&with_count=True&status=error&all_tenants=1'), {
    limit: 2,
    offset: 1,
    marker: 'm',
    sort: [
      { key: 'name', descending: false },
      { key: 'size', descending: true },
    ],
    withCount: true,
    filters: new Map([['status', 'error']]),
  });
  assert.deepEqual(read('sort_key=name&sort_dir=asc').sort, [{ key: 'name', descending: false }]);
  assert.deepEqual(read('sort_dir=asc').sort, [{ key: 'created_at', descending: false }]);
  assert.equal(read('').limit, 1000);
  assert.equal(read('limit=5000').limit, 1000);
});

test("what is wrong with a list's query is said in Cinder's words", () => {
  assert.equal(refusal('limit=-1'), 'limit param must be positive');
  assert.equal(refusal('limit=x'), 'limit param must be an integer');
  assert.equal(refusal('offset=-3'), 'offset param must be positive');
  assert.equal(refusal('limit=1.5'), 'limit param must be an integer');
  assert.match(refusal('sort=name&sort_key=id'), /cannot be used with the 'sort' parameter/);
  assert.equal(refusal('sort=name:upwards'), 'Invalid sort direction: upwards');
});

test('a page begins after its marker, and a full one leads to the next', () => {
  const all = ['a', 'b', 'c', 'd'].map((id) => ({ id }));
  const shown = page(all, read('limit=2&marker=a'), ({ id }) => id);
  assert.deepEqual(shown, [{ id: 'b' }, { id: 'c' }]);
  const query = new URLSearchParams('limit=2&sort=name:asc&marker=a&offset=1');
  assert.deepEqual(nextLinks('things', { href: 'http://h/v3/things', query, limit: 2, shown }), {
    things_links: [{ rel: 'next', href: 'http://h/v3/things?limit=2&sort=name%3Aasc&marker=c' }],
  });
  assert.deepEqual(nextLinks('things', { href: 'x', query, limit: 3, shown }), {});
  assert.deepEqual(nextLinks('things', { href: 'x', query: new URLSearchParams(), limit: 1000, shown }), {});
  assert.throws(
    () => page(all, read('marker=z'), ({ id }) => id),
    (error) => error instanceof Fault && error.status === 404,
  );
  assert.deepEqual(
    page(all, read('limit=0'), ({ id }) => id),
    [],
  );
});

test('a dictionary in a query is JSON, or as Python prints it', () => {
  assert.deepEqual(dictionaryOf('{"k": "v"}'), { k: 'v' });
  assert.deepEqual(dictionaryOf("{'k': 'v', u'a': u'it\"s'}"), { k: 'v', a: 'it"s' });
  assert.deepEqual(dictionaryOf('{}'), {});
  for (const nonsense of ['k', '[1]', "{'k'", '']) assert.equal(dictionaryOf(nonsense), null);
});
