import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import pino from 'pino';
import { Fault } from '../../../../client/api/fault.ts';
import { keystoneAuthentication } from '../../../../client/api/identity/keystone.ts';

// What a real Keystone does not do on demand; what it does is in keystone.test.ts.

const password = 'a secret word';

/** A Keystone that answers as the test says: log-ins (POST) and questions about tokens (GET). */
async function keystone(t: TestContext, timeoutMs = 20_000) {
  const said = {
    logIn: (response: ServerResponse): void => give(response, 201, tokenOf('ferry', ['service'])),
    about: ((response) => give(response, 200, tokenOf('alice', ['member']))) as (
      response: ServerResponse,
      request: IncomingMessage,
    ) => void,
  };
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.setHeader('X-Subject-Token', `own-${seen.filter((each) => each.startsWith('POST')).length}`);
    if (request.method === 'POST') said.logIn(response);
    else said.about(response, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const logged: string[] = [];
  const authentication = keystoneAuthentication({
    url,
    publicUrl: 'https://keystone.example.org/v3',
    user: {
      username: 'ferry',
      userDomainId: 'default',
      projectName: 'service',
      projectDomainId: 'default',
      password: () => Promise.resolve(password),
    },
    timeoutMs,
    times: { recheckMs: 0, keepMs: 0 },
    log: pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }),
  });
  const ask = (headers: Record<string, string> = { 'X-Auth-Token': 'gAAAA' }) =>
    authentication.authenticate(new Request('http://ferry/v3/volumes', { headers }), null);
  return { said, seen, logged, ask, server };
}

function tokenOf(user: string, roles: string[], project: string | null = 'red', endsInSeconds = 3600) {
  const expires = new Date(Date.now() + endsInSeconds * 1000).toISOString().replace('Z', '000Z');
  return {
    token: {
      user: { id: user },
      ...(project !== null && { project: { id: project } }),
      roles: roles.map((name) => ({ name })),
      expires_at: expires,
    },
  };
}

function give(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

const is = (status: number) => (error: unknown) => {
  assert.ok(error instanceof Fault, String(error));
  assert.equal(error.status, status);
  return true;
};

test('whatever is wrong with Keystone: 503, try again later, and no secret in the log', async (t) => {
  const faults: Record<string, (response: ServerResponse) => void> = {
    'an error inside': (response) => give(response, 500, { error: { code: 500 } }),
    'a proxy in front of it': (response) => give(response, 502, '<html>gAAAA own-1</html>'),
    'half a body': (response) => give(response, 200, '{"token": {"user": {"id"'),
    'a body of another kind': (response) => give(response, 200, { token: { user: 'gAAAA' } }),
    'no answer': () => {},
    'a connection that breaks': (response) => response.socket?.destroy(),
    'another place to ask': (response) => {
      response.writeHead(302, { Location: 'http://127.0.0.1:9/' });
      response.end();
    },
    'a refusal of every token of ours': (response) => give(response, 401, {}),
    'a service user without the role': (response) => give(response, 403, {}),
  };
  for (const [name, fault] of Object.entries(faults)) {
    await t.test(name, async (t) => {
      const { said, ask, logged } = await keystone(t, name === 'no answer' ? 200 : undefined);
      said.about = fault;
      await assert.rejects(ask(), (error: unknown) => {
        is(503)(error);
        assert.match((error as Fault).headers['Retry-After'] ?? '', /^[1-9]\d*$/);
        return true;
      });
      assert.ok(logged.length > 0);
      for (const secret of [password, 'gAAAA', 'own-1']) assert.ok(!logged.join('').includes(secret), secret);
    });
  }
});

test('a log-in that is refused is not tried with every request: the service user would be locked out', async (t) => {
  const { said, ask, seen } = await keystone(t);
  said.logIn = (response) => give(response, 401, {});
  for (const token of ['a', 'b', 'c']) await assert.rejects(ask({ 'X-Auth-Token': token }), is(503));
  assert.deepEqual(seen, ['POST /v3/auth/tokens?nocatalog']);
});

test('an own token that Keystone knows no more is replaced once, and the request goes on', async (t) => {
  const { said, ask, seen } = await keystone(t);
  await ask();
  said.about = (response, { headers }) =>
    headers['x-auth-token'] === 'own-1' ? give(response, 401, {}) : give(response, 200, tokenOf('alice', ['member']));
  assert.equal((await ask()).userId, 'alice');
  assert.equal(seen.filter((each) => each.startsWith('POST')).length, 2);
});

test('an own token is renewed before it ends, and got once for many requests', async (t) => {
  const { ask, seen } = await keystone(t);
  const logIns = () => seen.filter((each) => each.startsWith('POST')).length;
  await Promise.all(['a', 'b', 'c', 'd'].map((token) => ask({ 'X-Auth-Token': token })));
  assert.equal(logIns(), 1);
  const second = await keystone(t);
  second.said.logIn = (response) => give(response, 201, tokenOf('ferry', ['service'], 'service', 30));
  await second.ask();
  await second.ask();
  assert.equal(second.seen.filter((each) => each.startsWith('POST')).length, 2);
});

test('no token, an empty one and what cannot be one: 401 without a word to Keystone', async (t) => {
  const { ask, seen } = await keystone(t);
  for (const token of [null, '', 'a b', 'käse']) {
    await assert.rejects(ask(token === null ? {} : { 'X-Auth-Token': token }), (error: unknown) => {
      is(401)(error);
      assert.equal((error as Fault).headers['WWW-Authenticate'], 'Keystone uri="https://keystone.example.org/v3"');
      assert.deepEqual(Object.keys((error as Fault).body as object), ['error']);
      return true;
    });
  }
  assert.deepEqual(seen, []);
});

test("with a service's token beside it, Keystone is asked to take an expired one", async (t) => {
  const { said, ask, seen } = await keystone(t);
  said.about = (response, { headers, url }) => {
    if (headers['x-subject-token'] === 'nova') return give(response, 200, tokenOf('nova', ['service'], 'service'));
    if (headers['x-subject-token'] === 'person') return give(response, 200, tokenOf('bob', ['admin']));
    if (!url?.includes('allow_expired=1')) return give(response, 404, {});
    give(response, 200, tokenOf('alice', ['member'], 'red', -600));
  };
  const alice = await ask({ 'X-Auth-Token': 'old', 'X-Service-Token': 'nova' });
  assert.deepEqual(alice, { userId: 'alice', projectId: 'red', roles: ['member'], isService: true });
  await assert.rejects(ask({ 'X-Auth-Token': 'old' }), is(401));
  await assert.rejects(ask({ 'X-Auth-Token': 'old', 'X-Service-Token': 'old' }), is(401));
  await assert.rejects(ask({ 'X-Auth-Token': 'old', 'X-Service-Token': 'person' }), is(401));
  assert.ok(!seen.some((each) => each.includes('nova')), 'tokens are in headers, never in addresses');
});

test('a token for no project: 403, it says what to ask for', async (t) => {
  const { said, ask } = await keystone(t);
  said.about = (response) => give(response, 200, tokenOf('alice', [], null));
  await assert.rejects(ask(), (error: unknown) => is(403)(error) && /project/.test((error as Fault).message));
});
