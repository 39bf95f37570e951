import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/common';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { noColumns } from '../../registry/rows.ts';
import { activityFailures } from '../../workers/activity-failures.ts';
import { testRegistry } from '../registry/database.ts';
import { put, putBackEnd, putVolume, source } from '../registry/world.ts';

// What is refused here on purpose is nobody's trouble.
Runtime.install({ logger: new DefaultLogger('ERROR') });

/** How a step ends whose try of that number does this. */
async function endOf(work: () => Promise<unknown>, attempt = 1): Promise<unknown> {
  const env = new MockActivityEnvironment({ attempt });
  const step = () => activityFailures.execute!({ args: [], headers: {} }, work);
  return env.run(step).then(
    () => null,
    (error: unknown) => error,
  );
}

describe('what Postgres refuses', () => {
  const isForGood = (error: unknown, code: string) => {
    assert.ok(error instanceof ApplicationFailure, String(error));
    assert.deepEqual([error.type, error.nonRetryable], ['Unexpected', true]);
    assert.match(error.message, new RegExp(`refuses it each time \\(${code}\\)`));
    assert.partialDeepStrictEqual(error.details, [{ code }]);
  };
  const mayPass = (error: unknown, code: string) => {
    assert.ok(!(error instanceof ApplicationFailure));
    assert.equal((error as { code?: string }).code, code);
  };

  test('each time is tried no more: a value or a statement that it cannot take', async () => {
    const registry = await testRegistry();
    for (const [code, statement, values] of [
      ['22021', 'SELECT $1::text', ['a\0b']],
      ['22P05', 'SELECT $1::jsonb', [JSON.stringify({ name: 'a\0b' })]],
      ['22003', 'SELECT $1::integer', ['99999999999']],
      ['22P02', 'SELECT $1::uuid', ['nonsense']],
      ['42601', 'SELEKT', []],
    ] as const)
      isForGood(await endOf(() => registry.rows(noColumns, statement, values)), code);
    isForGood(await endOf(() => registry.transaction((q) => q.rows(noColumns, 'SELECT $1::text', ['\0']))), '22021');
  });

  test('only now is tried again: a schema that is being updated, a privilege, a deadlock', async () => {
    const registry = await testRegistry();
    mayPass(await endOf(() => registry.rows(noColumns, 'SELECT FROM not_there_yet')), '42P01');
    mayPass(await endOf(() => registry.rows(noColumns, 'SELECT not_there_yet(1)')), '42883');
    const raised = (code: string) => registry.rows(noColumns, `DO $$ BEGIN RAISE SQLSTATE '${code}'; END $$`);
    const forbidden = await endOf(() => raised('42501'));
    assert.ok(forbidden instanceof ApplicationFailure);
    assert.deepEqual([forbidden.type, forbidden.nonRetryable], ['ServiceUnreachable', false]);
    mayPass(await endOf(() => raised('40P01'), 100), '40P01');
  });

  test('because of a rule is tried some times: somebody else may be half through', async () => {
    const registry = await testRegistry();
    await putBackEnd(registry, source);
    const id = await putVolume(registry);
    const again = () => putVolume(registry, { id });
    mayPass(await endOf(again, 1), '23505');
    isForGood(await endOf(again, 5), '23505');
    isForGood(await endOf(() => put(registry, 'volumes', { id: null }), 5), '23502');
  });
});

describe('a bug', () => {
  const throwing = (error: Error) => async () => {
    throw error;
  };
  for (const error of [new TypeError('x is not a function'), new RangeError('too deep'), new SyntaxError('no JSON')])
    test(`that shows each time is tried no more: ${error.name}`, async () => {
      assert.equal(await endOf(throwing(error), 1), error);
      const end = await endOf(throwing(error), 5);
      assert.ok(end instanceof ApplicationFailure);
      assert.deepEqual([end.type, end.nonRetryable], ['Unexpected', true]);
    });

  test('is not what a network or a system call says', async () => {
    const failed = new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
    assert.equal(await endOf(throwing(failed), 100), failed);
    const full = Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    assert.equal(await endOf(throwing(full), 100), full);
  });
});
