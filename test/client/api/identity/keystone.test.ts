import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { Fault } from '../../../../client/api/fault.ts';
import type { Caller } from '../../../../client/api/identity/authentication.ts';
import { keystoneAuthentication } from '../../../../client/api/identity/keystone.ts';
import { builtInPolicy } from '../../../../client/api/identity/policy.ts';
import { startKeystone, type Keystone } from '../../../../testbed/keystone.ts';
import { testRegistry } from '../../../registry/database.ts';
import { putBackEnd, putVolume, source } from '../../../registry/world.ts';
import { startApi } from '../served.ts';

let keystone: Keystone;
before(async () => {
  keystone = await startKeystone();
  await keystone.user('ferry', { service: ['service'] });
  await keystone.user('nova', { service: ['service'] });
  await keystone.user('alice', { red: ['member'] });
  await keystone.user('rita', { red: ['reader'] });
  await keystone.user('bob', { blue: ['member'] });
});
after(() => keystone.stop());

/** Ferry's side, which asks at every request unless told otherwise. */
function authentication({ recheckSeconds = 0, password = 'password-ferry', url = keystone.url } = {}) {
  return keystoneAuthentication({
    url,
    publicUrl: url,
    user: {
      username: 'ferry',
      userDomainId: 'default',
      projectName: 'service',
      projectDomainId: 'default',
      password: () => Promise.resolve(password),
    },
    timeoutMs: 60_000,
    times: { recheckMs: recheckSeconds * 1000, keepMs: 300_000 },
    log: pino({ level: 'silent' }),
  });
}

function who(by: ReturnType<typeof authentication>, token: string, service?: string): Promise<Caller> {
  const headers = { 'X-Auth-Token': token, ...(service !== undefined && { 'X-Service-Token': service }) };
  return by.authenticate(new Request('http://ferry/v3/volumes', { headers }), null);
}

/** The id of the first of a kind with that name. */
async function idOf(kind: 'users' | 'roles', name: string): Promise<string> {
  const found = await keystone.ask<Record<string, { id: string }[]>>('GET', `/${kind}?name=${name}`);
  return found[kind]![0]!.id;
}

const is = (status: number) => (error: unknown) => error instanceof Fault && error.status === status;

test('a good token says who calls, for which project, in which roles; what a role implies is one too', async () => {
  const by = authentication();
  const project = await keystone.idOfProject('red');
  const alice = await who(by, await keystone.logIn('alice', 'red'));
  assert.deepEqual([alice.projectId, alice.roles.toSorted()], [project, ['member', 'reader']]);
  assert.match(alice.userId, /^[0-9a-f]{32}$/);
  const callers = [alice, await who(by, await keystone.logIn('rita', 'red'))];
  callers.push(await who(by, await keystone.logIn('admin', 'admin')));
  assert.deepEqual(
    callers.map((each) => builtInPolicy.mayDo('volume:create', each)),
    [true, false, true],
  );
  assert.deepEqual(
    callers.map((each) => builtInPolicy.mayDo('volume:get', each)),
    [true, true, true],
  );
  assert.deepEqual(
    callers.map((each) => builtInPolicy.isAdmin(each)),
    [false, false, true],
  );
});

test('a token of nobody, one that is changed and one for no project are refused', async () => {
  const by = authentication();
  const good = await keystone.logIn('alice', 'red');
  await assert.rejects(who(by, 'gAAAAABnonsense'), is(401));
  await assert.rejects(who(by, good.slice(0, -4)), is(401));
  await assert.rejects(who(by, await keystone.logIn('alice', null)), is(403));
  assert.ok(await who(by, good));
});

test('revoked, taken from the project or locked out: refused, though it was good a moment ago', async () => {
  const ends: Record<string, (token: string) => Promise<unknown>> = {
    revoked: (token) => keystone.revoke(token),
    'a role taken away': async () => {
      const [user, role] = [await idOf('users', 'carol'), await idOf('roles', 'member')];
      await keystone.ask('DELETE', `/projects/${await keystone.idOfProject('red')}/users/${user}/roles/${role}`);
    },
    'locked out': async () => {
      await keystone.ask('PATCH', `/users/${await idOf('users', 'dave')}`, { user: { enabled: false } });
    },
  };
  await keystone.user('carol', { red: ['member'] });
  await keystone.user('dave', { red: ['member'] });
  const users = ['alice', 'carol', 'dave'];
  for (const [index, [name, end]] of Object.entries(ends).entries()) {
    const token = await keystone.logIn(users[index]!, 'red');
    const by = authentication();
    const lasting = authentication({ recheckSeconds: 3600 });
    assert.ok(await who(by, token), name);
    assert.ok(await who(lasting, token), name);
    await end(token);
    await assert.rejects(who(by, token), is(401), name);
    assert.ok(await who(lasting, token), `${name}: the cache is one`);
  }
});

test("an expired token is refused, but not beside a service's, whatever is known of it", async () => {
  const by = authentication({ recheckSeconds: 3600 });
  const token = await keystone.logIn('alice', 'red', keystone.brieflyUrl);
  const nova = await keystone.logIn('nova', 'service');
  const bob = await keystone.logIn('bob', 'blue');
  // Not a limit: it is refused when its second is over, however long that takes to be seen here.
  while (
    await who(by, token).then(
      () => true,
      (error: unknown) => !is(401)(error),
    )
  );
  assert.equal((await who(by, token, nova)).isService, true);
  await assert.rejects(who(by, token), is(401));
  await assert.rejects(who(by, token, bob), is(401), 'a person is no service');
  await assert.rejects(who(by, token, 'gAAAAABnonsense'), is(401));
  assert.equal((await who(by, bob)).isService, false);
});

test('Ferry whose own token is revoked gets another; with a wrong password it lets nobody in', async () => {
  const id = await idOf('users', 'ferry');
  const by = authentication();
  const alice = await keystone.logIn('alice', 'red');
  assert.ok(await who(by, alice));
  await keystone.ask('PATCH', `/users/${id}`, { user: { enabled: false } });
  await keystone.ask('PATCH', `/users/${id}`, { user: { enabled: true } });
  // Keystone counts in seconds: one of the same second would be revoked too.
  await sleep(1100);
  assert.ok(await who(by, alice), 'its tokens of before are revoked');
  await assert.rejects(who(authentication({ password: 'wrong' }), alice), is(503));
});

test('without Keystone: those it vouched for go on, others are told to come again', async () => {
  const through = await door(keystone.url);
  try {
    const by = authentication({ url: through.url });
    const [alice, bob] = [await keystone.logIn('alice', 'red'), await keystone.logIn('bob', 'blue')];
    assert.ok(await who(by, alice));
    await through.close();
    assert.ok(await who(by, alice));
    await assert.rejects(who(by, bob), (error: unknown) => is(503)(error) && 'Retry-After' in (error as Fault).headers);
  } finally {
    await through.close();
  }
});

test('over HTTP: a tenant sees what is his, without a word of where it is; an administrator sees all', async (t) => {
  const registry = await testRegistry();
  await putBackEnd(registry, source);
  const [red, blue] = [await keystone.idOfProject('red'), await keystone.idOfProject('blue')];
  const mine = await putVolume(registry, { tenant_id: red, name: 'mine' });
  const theirs = await putVolume(registry, { tenant_id: blue, name: 'theirs' });
  const api = await startApi(registry.url, authentication());
  t.after(() => api.close());
  const [alice, rita, bob, admin] = await Promise.all([
    keystone.logIn('alice', 'red'),
    keystone.logIn('rita', 'red'),
    keystone.logIn('bob', 'blue'),
    keystone.logIn('admin', 'admin'),
  ]);
  const ask = (token: string, method: string, path: string, body?: unknown) =>
    api.ask(token, method, `/v3${path}`, body === undefined ? {} : { body });
  const idsIn = async (token: string, path: string) =>
    (await ask(token, 'GET', path)).body.volumes.map(({ id }: { id: string }) => id).toSorted();

  await t.test("another project's volume is not there, whatever is asked of it", async () => {
    const says = { itemNotFound: { code: 404, message: `Volume ${mine} could not be found.` } };
    const asked: readonly (readonly [string, string, unknown?])[] = [
      ['GET', `/volumes/${mine}`],
      ['DELETE', `/volumes/${mine}`],
    ];
    for (const [method, path, body] of asked) {
      const { status, body: answer } = await ask(bob, method, path, body);
      assert.deepEqual([status, answer], [404, says], `${method} ${path}`);
    }
    assert.deepEqual(await idsIn(bob, '/volumes'), [theirs]);
    assert.deepEqual(await idsIn(bob, '/volumes?all_tenants=1'), [theirs]);
    const others = await ask(bob, 'GET', `/volumes/detail?all_tenants=1&project_id=${red}`);
    const unknown = 'Invalid filters project_id are found in query options.';
    assert.deepEqual([others.status, others.body.badRequest?.message], [400, unknown]);
    const elsewhere = await ask(bob, 'GET', `/${red}/volumes`);
    assert.deepEqual([elsewhere.status, elsewhere.body.badRequest?.message], [400, 'Malformed request url']);
  });

  await t.test('the attributes of an administrator are his', async () => {
    const shown = async (token: string) => Object.keys((await ask(token, 'GET', `/volumes/${mine}`)).body.volume);
    const hidden = ['host', 'migstat', 'name_id', 'migration_status'];
    const isHidden = (key: string) => hidden.some((each) => key.endsWith(each));
    for (const token of [alice, rita]) assert.deepEqual((await shown(token)).filter(isHidden), []);
    assert.equal((await shown(admin)).filter(isHidden).length, hidden.length);
    assert.deepEqual(await idsIn(admin, '/volumes'), []);
    assert.deepEqual(await idsIn(admin, '/volumes?all_tenants=1'), [mine, theirs].toSorted());
  });

  await t.test('who may not is told which rule says so', async () => {
    const migrate = { 'os-migrate_volume': { host: source } };
    const refused: readonly (readonly [string, string, string, unknown, string])[] = [
      [rita, 'DELETE', `/volumes/${mine}`, undefined, 'volume:delete'],
      [rita, 'POST', '/volumes', { volume: { size: 1 } }, 'volume:create'],
      [alice, 'POST', `/volumes/${mine}/action`, migrate, 'volume_extension:volume_admin_actions:migrate_volume'],
    ];
    for (const [token, method, path, body, rule] of refused) {
      const { status, body: answer } = await ask(token, method, path, body);
      const says = { forbidden: { code: 403, message: `Policy doesn't allow ${rule} to be performed.` } };
      assert.deepEqual([status, answer], [403, says], path);
    }
  });

  await t.test('nobody comes in without a good token, except to ask for versions', async () => {
    for (const headers of [{}, { 'X-Auth-Token': 'gAAAAABnonsense' }]) {
      const response = await fetch(`${api.url}/v3/volumes`, { headers });
      assert.equal(response.status, 401);
      assert.equal(response.headers.get('www-authenticate'), `Keystone uri="${keystone.url}"`);
      assert.equal(((await response.json()) as { error: { code: number } }).error.code, 401);
    }
    assert.equal((await fetch(api.url)).status, 300);
  });
});

/** A way to Keystone that can be closed. */
async function door(to: string) {
  const { hostname, port } = new URL(to);
  const sockets = new Set<Socket>();
  const server = createServer((from) => {
    const onward = connect(Number(port), hostname);
    for (const socket of [from, onward]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    from.pipe(onward).pipe(from);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}`,
    async close() {
      if (!server.listening) return;
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
