import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveHealth } from '../../workers/health.ts';

async function ask(port: number, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, body: await response.json() };
}

test('a worker is well while it answers, and ready while nothing is in its way', async () => {
  let why: string[] = [];
  const health = await serveHealth('127.0.0.1:0', async () => why);
  try {
    assert.deepEqual(await ask(health.port, '/healthz'), { status: 200, body: { status: 'ok' } });
    assert.deepEqual(await ask(health.port, '/readyz'), { status: 200, body: { status: 'ready', why: [] } });
    why = ['Temporal does not answer it'];
    assert.deepEqual(await ask(health.port, '/readyz?verbose'), { status: 503, body: { status: 'not ready', why } });
    assert.equal((await ask(health.port, '/healthz')).status, 200);
    assert.equal((await ask(health.port, '/')).status, 404);
  } finally {
    await health.stop();
  }
});

test('what cannot be told is no readiness, and no end of the worker', async () => {
  const health = await serveHealth('127.0.0.1:0', () => Promise.reject(new Error('Postgres cannot be reached')));
  try {
    const { status, body } = await ask(health.port, '/readyz');
    assert.equal(status, 503);
    assert.deepEqual(body, { status: 'not ready', why: ['Postgres cannot be reached'] });
    await assert.rejects(
      serveHealth(`127.0.0.1:${health.port}`, async () => []),
      /"healthAddress" 127\.0\.0\.1:\d+ cannot be had: listen EADDRINUSE/,
    );
  } finally {
    await health.stop();
  }
});
