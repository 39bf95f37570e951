import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { FerryError } from '../../model/errors.ts';
import { logOptions } from '../../workers/runtime.ts';

function line(fields: object): Record<string, unknown> {
  const written: string[] = [];
  const sink = new Writable({ write: (chunk, _encoding, done) => (written.push(String(chunk)), done()) });
  pino(logOptions('info'), sink).warn(fields, 'something');
  return JSON.parse(written.join('')) as Record<string, unknown>;
}

test('an error is told with its type, its fields and its causes', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const failure = new FerryError(
    'ServiceUnreachable',
    'Postgres cannot be reached',
    { service: 'postgres' },
    { cause },
  );
  const error = line({ error: failure })['error'] as Record<string, unknown>;
  assert.equal(error['message'], 'Postgres cannot be reached');
  assert.deepEqual(error['details'], { service: 'postgres' });
  const told = error['cause'] as Record<string, unknown>;
  assert.equal(told['message'], 'connect ECONNREFUSED');
  assert.equal(told['code'], 'ECONNREFUSED');
  assert.match(String(told['stack']), /log-lines\.test/);
});

test('what is thrown but no error, and the text of one, stay as they are', () => {
  assert.equal(line({ error: 'only text' })['error'], 'only text');
  assert.deepEqual(line({ error: { odd: 1 } })['error'], { odd: 1 });
});

test('a line has its time as people read it, in UTC', () => {
  const { time } = line({});
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});
