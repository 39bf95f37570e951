import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { createApi } from '../../../client/api/app.ts';
import { builtInPolicy } from '../../../client/api/identity/policy.ts';
import { ApiMetrics, type CountedRequest } from '../../../client/api/metrics.ts';
import type { OpenFerry } from '../../../client/open-ferry.ts';

test('requests are counted by the path of their call, and shown to Prometheus', async () => {
  const metrics = new ApiMetrics();
  const shown = await metrics.serve('127.0.0.1:0');
  const url = `http://127.0.0.1:${shown.port}/metrics`;
  try {
    const route = '/v3/volumes/:id';
    for (const status of [200, 200, 404]) metrics.count({ method: 'GET', route, status, seconds: 0.02 });
    const response = await fetch(url);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    const lines = (await response.text()).split('\n');
    assert.ok(lines.includes(`ferry_api_requests_total{method="GET",route="${route}",status="200"} 2`));
    assert.ok(lines.includes(`ferry_api_request_seconds_count{method="GET",route="${route}"} 3`));
    assert.ok(lines.includes(`ferry_api_request_seconds_bucket{le="0.01",method="GET",route="${route}"} 0`));
    assert.equal((await fetch(url.replace('/metrics', '/other'))).status, 404);
    await assert.rejects(metrics.serve(new URL(url).host), { type: 'InvalidInput', message: /"metricsAddress"/ });
  } finally {
    await shown.stop();
  }
});

test('every request counts for one path of a call, whatever volume or project it names; one of no call for none', async () => {
  const counted: string[] = [];
  class Heard extends ApiMetrics {
    override count({ method, route, status }: CountedRequest): void {
      counted.push(`${method} ${route} ${status}`);
    }
  }
  const nothing = new Proxy({}, { get: () => () => Promise.reject(new Error('it has no answer')) });
  const app = createApi({
    ferry: { as: () => nothing } as unknown as OpenFerry,
    authentication: {
      authenticate: () => Promise.resolve({ userId: 'u', projectId: 'p', roles: ['admin', 'member'] }),
    },
    policy: builtInPolicy,
    defaultVolumeType: '__DEFAULT__',
    log: pino({ level: 'silent' }),
    metrics: new Heard(),
  });
  const ask = (method: string, path: string, body?: string) =>
    app.request(`http://127.0.0.1${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body !== undefined && { body }),
    });
  await ask('GET', '/v3/p/volumes/one');
  await ask('GET', '/v3/volumes/another');
  await ask('POST', '/v3/p/volumes/one/action', '{"os-extend": {"new_size": "much"}}');
  await ask('GET', '/v3/p/nothing/of/that');
  await ask('GET', '/');
  await ask('GET', '/healthz');
  assert.deepEqual(counted, [
    'GET /v3/volumes/:id 500',
    'GET /v3/volumes/:id 500',
    'POST /v3/volumes/:id/action 400',
    'GET none 404',
    'GET / 300',
  ]);
});
