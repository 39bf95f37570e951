import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { testRegistry } from '../../registry/database.ts';
import { putBackEnd, putSnapshot, putVolume, source } from '../../registry/world.ts';
import { admin, startApi } from './served.ts';

/** What only reads and writes rows: no Temporal is there. */
describe("Cinder's resources on the registry", () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let api: Awaited<ReturnType<typeof startApi>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
    api = await startApi(registry.url);
  });
  after(() => api?.close());

  const project = () => randomUUID().replaceAll('-', '');
  const as = (tenant: string) => `alice:${tenant}:member`;
  const get = (token: string, path: string, minor?: number) =>
    api.ask(token, 'GET', path, minor === undefined ? {} : { minor });
  const ids = async (token: string, query: string): Promise<string[]> =>
    (await get(token, `/v3/volumes${query}`)).body.volumes.map(({ id }: { id: string }) => id);

  test('the versions are told to everybody, at either path, and nothing else is', async () => {
    assert.equal((await get('', '/')).status, 300);
    assert.equal((await get('', '/v3/')).body.versions[0].version, '3.71');
    assert.equal((await get('', '/healthz')).status, 200);
    assert.equal((await get('', '/openapi.json')).body.openapi, '3.1.0');
    const unknown = {
      code: '404 Not Found',
      title: 'Not Found',
      message: 'The resource could not be found.<br /><br />\n\n\n',
    };
    for (const path of ['/v3/nonsense', '/v3/volumes/a/b/c', '/nonsense'])
      assert.deepEqual((await get(admin, path)).body, unknown);
    assert.equal((await api.ask(admin, 'PATCH', '/v3/volumes')).status, 404);
  });

  test('each answer has its request id and the version by which it was judged', async () => {
    const { headers } = await get(admin, '/v3/volumes', 44);
    assert.match(headers.get('x-openstack-request-id') ?? '', /^req-[0-9a-f-]{36}$/);
    assert.equal(headers.get('x-compute-request-id'), headers.get('x-openstack-request-id'));
    assert.equal(headers.get('openstack-api-version'), 'volume 3.44');
    assert.equal(headers.get('vary'), 'OpenStack-API-Version');
    const refused = await api.ask(admin, 'GET', '/v3/volumes', { headers: { 'OpenStack-API-Version': 'volume 3.99' } });
    assert.equal(refused.status, 406);
  });

  test('a body that is none is refused before anything is done', async () => {
    const post = (body: string, headers = {}) => api.ask(admin, 'POST', '/v3/volumes', { body, headers });
    const malformed = { badRequest: { code: 400, message: 'Malformed request body' } };
    assert.deepEqual((await post('{"volume": ')).body, malformed);
    assert.deepEqual((await post('')).body, malformed);
    assert.equal((await post('a=b', { 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await post(`{"volume": "${'x'.repeat(1024 ** 2)}"}`)).status, 413);
    const path = `/v3/volumes/${await putVolume(registry)}/action`;
    for (const body of ['{}', '[]', '1', '{"os-reserve": {}, "os-unreserve": {}}'])
      assert.deepEqual((await api.ask(admin, 'POST', path, { body })).body, malformed);
    assert.match(
      (await api.ask(admin, 'POST', path, { body: { 'os-nonsense': {} } })).body.badRequest.message,
      /^There is no such action: os-nonsense\./,
    );
  });

  test('a project in the path is the token’s, or the request is none', async () => {
    const tenant = project();
    const id = await putVolume(registry, { tenant_id: tenant });
    const own = await get(as(tenant), `/v3/${tenant}/volumes/${id}`);
    assert.match(own.body.volume.links[0].href, new RegExp(`/v3/${tenant}/volumes/${id}$`));
    assert.deepEqual((await get(as(tenant), `/v3/${project()}/volumes`)).body, {
      badRequest: { code: 400, message: 'Malformed request url' },
    });
  });

  test('lists of volumes are filtered, sorted, counted and in pages', async () => {
    const tenant = project();
    const put = (name: string, more: object = {}) => putVolume(registry, { tenant_id: tenant, name, ...more });
    const a = await put('a', { metadata: { k: 'v' } });
    const b = await put('b', { bootable: true });
    const c = await put('c', { status: 'error' });
    const token = as(tenant);
    assert.deepEqual(await ids(token, '?sort=name:asc'), [a, b, c]);
    assert.deepEqual(await ids(token, `?sort=name:desc&limit=1&marker=${c}`), [b]);
    assert.deepEqual(await ids(token, '?sort=name:asc&offset=1&limit=5'), [b, c]);
    assert.deepEqual(await ids(token, '?metadata={"k":"v"}'), [a]);
    assert.deepEqual(await ids(token, "?metadata={'k': 'v'}"), [a]);
    assert.deepEqual(await ids(token, '?bootable=true'), [b]);
    assert.deepEqual(await ids(token, '?status=error'), [c]);
    assert.deepEqual(await ids(token, '?name=b'), [b]);
    assert.deepEqual(await ids(token, '?created_at=lt:2000-01-01T00:00:00'), []);
    assert.deepEqual(await ids(token, '?limit=0'), []);
    const counted = await get(token, '/v3/volumes/detail?limit=1&with_count=true');
    assert.equal(counted.body.count, 3);
    assert.equal(counted.body.volumes_links.length, 1);
    const refused = async (query: string) => (await get(token, `/v3/volumes?${query}`)).body.badRequest.message;
    assert.equal(await refused('nonsense=1'), 'Invalid filters nonsense are found in query options.');
    assert.equal(await refused('sort=nonsense:desc'), 'Invalid input received: Invalid sort key');
    assert.equal((await get(token, `/v3/volumes?marker=${randomUUID()}`)).status, 404);
    assert.deepEqual(await ids(`root:${tenant}:admin`, '?nonsense=1'), []);
    const summary = (await get(token, '/v3/volumes/summary')).body['volume-summary'];
    assert.deepEqual([summary.total_count, summary.metadata], [3, { k: ['v'] }]);
  });

  test('a volume shows what its microversion has, and to administrators where it is', async () => {
    const tenant = project();
    const id = await putVolume(registry, { tenant_id: tenant });
    const keys = async (token: string, minor: number) =>
      Object.keys((await get(token, `/v3/volumes/${id}`, minor)).body.volume);
    const root = `root:${tenant}:admin`;
    for (const [key, since] of [
      ['group_id', 13],
      ['provider_id', 21],
      ['service_uuid', 48],
      ['cluster_name', 61],
      ['volume_type_id', 63],
      ['consumes_quota', 65],
    ] as const) {
      assert.ok(!(await keys(root, since - 1)).includes(key), `${key} before 3.${since}`);
      assert.ok((await keys(root, since)).includes(key), `${key} at 3.${since}`);
    }
    const { volume } = (await get(root, `/v3/volumes/${id}`)).body;
    assert.equal(volume['os-vol-host-attr:host'], `${source}#${source.split('@')[1]}`);
    assert.match(volume.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
    for (const key of await keys(as(tenant), 71)) assert.doesNotMatch(key, /host|mig|provider|cluster/);
    assert.equal((await get(as(project()), `/v3/volumes/${id}`)).status, 404);
    assert.equal((await get(root, '/v3/volumes/nonsense')).status, 404);
  });

  test('metadata is merged, replaced and removed by key', async () => {
    const tenant = project();
    const path = `/v3/volumes/${await putVolume(registry, { tenant_id: tenant })}/metadata`;
    const send = (method: string, to: string, body?: object) =>
      api.ask(as(tenant), method, to, body === undefined ? {} : { body });
    await send('PUT', path, { metadata: { a: '1' } });
    assert.deepEqual((await send('POST', path, { metadata: { b: '2' } })).body, { metadata: { a: '1', b: '2' } });
    assert.deepEqual((await send('PUT', `${path}/b`, { meta: { b: '3' } })).body, { meta: { b: '3' } });
    assert.deepEqual((await send('PUT', path, { metadata: { c: '4' } })).body, { metadata: { c: '4' } });
    assert.equal((await send('GET', `${path}/zz`)).status, 404);
    assert.equal((await send('PUT', `${path}/x`, { meta: { y: '1' } })).status, 400);
    assert.equal((await send('DELETE', `${path}/c`)).status, 200);
    assert.deepEqual((await send('GET', path)).body, { metadata: {} });
  });

  test('types are made, shown, changed and gone; what they ask for is not the tenants’', async () => {
    const name = `type-${randomUUID()}`;
    const send = (token: string, method: string, path: string, body?: object) =>
      api.ask(token, method, `/v3/types${path}`, body === undefined ? {} : { body });
    const made = await send(admin, 'POST', '', { volume_type: { name, extra_specs: { media: 'ssd' } } });
    assert.equal(made.status, 200);
    const { id } = made.body.volume_type;
    assert.deepEqual((await send(admin, 'GET', `/${id}/extra_specs`)).body, { extra_specs: { media: 'ssd' } });
    assert.deepEqual((await send(as(project()), 'GET', `/${id}`)).body.volume_type.extra_specs, {});
    assert.equal(
      (await send(admin, 'POST', '', { volume_type: { name } })).body.conflictingRequest.message,
      `Volume Type ${name} already exists.`,
    );
    assert.equal((await send(as(project()), 'POST', '', { volume_type: { name: 'x' } })).status, 403);
    assert.deepEqual((await send(admin, 'PUT', `/${id}/extra_specs/a`, { a: 'c' })).body, { a: 'c' });
    assert.equal((await send(admin, 'DELETE', `/${id}/extra_specs/a`)).status, 202);
    assert.match(
      (await send(admin, 'GET', `/${id}/extra_specs/a`)).body.itemNotFound.message,
      /has no extra specs with key a\.$/,
    );
    await putVolume(registry, { volume_type: name });
    assert.equal(
      (await send(admin, 'DELETE', `/${id}`)).body.badRequest.message,
      'Target volume type is still in use.',
    );
    assert.equal((await send(admin, 'GET', `/${randomUUID()}`)).status, 404);
  });

  test('back ends are services, hosts and pools; to tenants they are nothing', async () => {
    const named = encodeURIComponent(source);
    const services = (await get(admin, `/v3/os-services?host=${named}`)).body.services;
    assert.deepEqual([services.length, services[0].host, services[0].binary], [1, source, 'cinder-volume']);
    const put = (what: string, body: object) => api.ask(admin, 'PUT', `/v3/os-services/${what}`, { body });
    assert.equal((await put('disable-log-reason', { host: source, disabled_reason: 'disks' })).status, 200);
    const [disabled] = (await get(admin, `/v3/os-services?host=${named}`)).body.services;
    assert.deepEqual([disabled.status, disabled.disabled_reason], ['disabled', 'disks']);
    assert.equal((await put('enable', { host: source, binary: 'cinder-volume' })).status, 200);
    assert.equal(
      (await put('disable', { host: 'nope', binary: 'cinder-volume' })).body.itemNotFound.message,
      'Service cinder-volume could not be found on host nope.',
    );
    const [pool] = (await get(admin, '/v3/scheduler-stats/get_pools?detail=True')).body.pools;
    const told = (await get(admin, `/v3/capabilities/${named}`)).body;
    for (const key of ['volume_backend_name', 'storage_protocol', 'vendor_name', 'driver_version'])
      assert.equal(told[key], pool.capabilities[key]);
    const rows = (await get(admin, `/v3/os-hosts/${named}`)).body.host;
    assert.equal(rows[0].resource.project, '(total)');
    assert.equal(typeof rows[0].resource.volume_count, 'string');
    for (const path of ['os-services', 'os-hosts', 'scheduler-stats/get_pools', `capabilities/${named}`])
      assert.equal((await get(as(project()), `/v3/${path}`)).status, 403);
  });

  test('snapshots are listed and shown; what Ferry does not have is honestly not there', async () => {
    const tenant = 'tenant-1';
    const volumeId = await putVolume(registry, { tenant_id: tenant });
    await putSnapshot(registry, volumeId);
    const { snapshots } = (await get(as(tenant), `/v3/snapshots/detail?volume_id=${volumeId}`)).body;
    assert.equal(snapshots.length, 1);
    assert.equal(snapshots[0]['os-extended-snapshot-attributes:project_id'], tenant);
    const own = `/v3/snapshots/${snapshots[0].id}`;
    const renamed = await api.ask(as(tenant), 'PUT', own, { body: { snapshot: { name: ' new ', description: null } } });
    assert.deepEqual([renamed.status, renamed.body.snapshot.name], [200, 'new']);
    assert.equal((await api.ask(as(project()), 'PUT', own, { body: { snapshot: { name: 'x' } } })).status, 404);
    assert.equal((await get(as(project()), own)).status, 404);
    for (const [path, list] of [
      ['backups/detail', 'backups'],
      ['groups', 'groups'],
      ['messages', 'messages'],
    ] as const)
      assert.deepEqual((await get(as(tenant), `/v3/${path}`)).body, { [list]: [] });
    const backup = await api.ask(as(tenant), 'POST', '/v3/backups', { body: { backup: { volume_id: volumeId } } });
    assert.equal(backup.status, 501);
    assert.equal((await get(as(tenant), `/v3/backups/${randomUUID()}`)).status, 404);
    assert.deepEqual((await get(admin, '/v3/ferry/migrations')).body, { migrations: [] });
    assert.equal((await get(admin, `/v3/ferry/migrations/${randomUUID()}`)).status, 404);
    assert.equal((await get(as(tenant), '/v3/ferry/migrations')).status, 403);
  });
});
