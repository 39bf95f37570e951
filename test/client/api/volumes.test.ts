import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { server1, server2, setStage, type Stage } from '../../end-to-end/stage.ts';
import { admin, member, startApi, stranger, type Answered } from './served.ts';

let stage: Stage;
let api: Awaited<ReturnType<typeof startApi>>;

before(async () => {
  stage = await setStage({ backing: 'directory' });
  process.env['TEMPORAL_ADDRESS'] = stage.temporal.address;
  api = await startApi(stage.postgres.url);
});

after(async () => {
  await api?.close();
  await stage?.strike();
});

async function until(look: () => Promise<Answered>, fits: (answer: Answered) => boolean): Promise<Answered> {
  for (;;) {
    const answer = await look();
    if (fits(answer)) return answer;
    await sleep(50);
  }
}

const show = (id: string, token = admin) => api.ask(token, 'GET', `/v3/volumes/${id}`);

async function made(token = member): Promise<string> {
  const { status, body } = await api.ask(token, 'POST', '/v3/volumes', { body: { volume: { size: 1, name: 'v' } } });
  assert.equal(status, 202);
  await until(
    () => show(body.volume.id),
    (answer) => answer.body.volume.status === 'available',
  );
  return body.volume.id as string;
}

test('a volume is made, moves and goes; each answer comes when it has begun', async () => {
  const creation = await api.ask(member, 'POST', '/v3/volumes', { body: { volume: { size: '1', name: ' mine ' } } });
  assert.equal(creation.status, 202);
  assert.equal(creation.body.volume.status, 'creating');
  assert.equal(creation.body.volume.name, 'mine');
  const { id } = creation.body.volume;
  const there = await until(
    () => show(id),
    ({ body }) => body.volume.status !== 'creating',
  );
  assert.equal(there.body.volume.status, 'available');
  const host: string = there.body.volume['os-vol-host-attr:host'];
  const source = host.split('#')[0]!;
  const destination = source === server1 ? server2 : server1;
  const moved = await api.ask(admin, 'POST', `/v3/volumes/${id}/action`, {
    body: { 'os-migrate_volume': { host: destination, force_host_copy: 'False', lock_volume: false } },
  });
  assert.equal(moved.status, 202, JSON.stringify(moved.body));
  const ended = await until(
    () => show(id),
    ({ body }) => body.volume.migration_status === 'success',
  );
  assert.match(ended.body.volume['os-vol-host-attr:host'], new RegExp(`^${destination}#`));
  assert.equal(ended.body.volume['os-vol-mig-status-attr:migstat'], null);
  assert.equal((await api.ask(member, 'DELETE', `/v3/volumes/${id}`)).status, 202);
  await until(
    () => show(id),
    ({ status, body }) => status === 404 || body.volume.status === 'deleting',
  );
  const gone = await until(
    () => show(id),
    ({ status }) => status === 404,
  );
  assert.deepEqual(gone.body, { itemNotFound: { code: 404, message: `Volume ${id} could not be found.` } });
});

test('a tenant sees nothing of where a volume is, a stranger nothing at all', async () => {
  const id = await made();
  const own = await show(id, member);
  for (const key of Object.keys(own.body.volume)) assert.doesNotMatch(key, /host|mig/);
  assert.equal((await show(id, stranger)).status, 404);
  assert.equal((await api.ask(stranger, 'DELETE', `/v3/volumes/${id}`)).status, 404);
  const listed = await api.ask(stranger, 'GET', '/v3/volumes/detail?all_tenants=1');
  assert.deepEqual(listed.body, { volumes: [] });
  const refused = await api.ask(member, 'POST', `/v3/volumes/${id}/action`, {
    body: { 'os-migrate_volume': { host: server2 } },
  });
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.forbidden.message,
    "Policy doesn't allow volume_extension:volume_admin_actions:migrate_volume to be performed.",
  );
});

test("what is refused says so at once, in Cinder's words", async () => {
  const id = await made();
  const { body } = await show(id);
  const here = body.volume['os-vol-host-attr:host'];
  const move = (host: string) =>
    api.ask(admin, 'POST', `/v3/volumes/${id}/action`, { body: { 'os-migrate_volume': { host } } });
  assert.match(
    (await move(here)).body.badRequest.message,
    /^Invalid volume: Volume .* must be different than the current/,
  );
  for (const nowhere of ['server9@none', 'server1', `${here}#other`]) {
    const { status, body: said } = await move(nowhere);
    assert.equal(status, 400);
    assert.equal(said.badRequest.message, `Invalid host: No available service named '${nowhere}'`);
  }
});

test('a volume that is retyped by a move is of the new type when it is over, not before', async () => {
  const id = await made();
  const here: string = (await show(id)).body.volume['os-vol-host-attr:host'];
  const [, name] = (here.startsWith(server1) ? server2 : server1).split('@');
  const volume_type = { name: `only ${name}`, extra_specs: { volume_backend_name: name } };
  assert.equal((await api.ask(admin, 'POST', '/v3/types', { body: { volume_type } })).status, 200);
  const retype = { new_type: volume_type.name, migration_policy: 'on-demand' };
  const begun = await api.ask(admin, 'POST', `/v3/volumes/${id}/action`, { body: { 'os-retype': retype } });
  assert.equal(begun.status, 202, JSON.stringify(begun.body));
  const { body } = await until(
    () => show(id),
    (answer) => answer.body.volume.volume_type === volume_type.name,
  );
  const { volume } = body;
  assert.deepEqual([volume.migration_status, volume['os-vol-mig-status-attr:migstat']], ['success', 'success']);
  assert.match(volume['os-vol-host-attr:host'], new RegExp(`@${name}#`));
});

test('a volume that is asked for without a type gets the default one, once there is one', async () => {
  const typeOf = async (id: string) => (await show(id)).body.volume.volume_type;
  assert.equal((await api.ask(member, 'GET', '/v3/types/default')).status, 404);
  assert.equal(await typeOf(await made()), null);
  const volume_type = { name: '__DEFAULT__', description: 'Default Volume Type' };
  const type = (await api.ask(admin, 'POST', '/v3/types', { body: { volume_type } })).body.volume_type;
  assert.equal((await api.ask(member, 'GET', '/v3/types/default')).body.volume_type.id, type.id);
  assert.equal(await typeOf(await made()), '__DEFAULT__');
  const refused = await api.ask(admin, 'DELETE', `/v3/types/${type.id}`);
  assert.equal(refused.status, 400);
  assert.match(refused.body.badRequest.message, /is a default volume type and cannot be deleted/);
  const renamed = await api.ask(admin, 'PUT', `/v3/types/${type.id}`, { body: { volume_type: { name: 'usual' } } });
  assert.equal(renamed.status, 200);
  assert.equal(await typeOf(await made()), null);
});

test('a volume goes with its snapshots where that is asked for', async () => {
  const id = await made();
  const snapshots: string[] = [];
  for (const name of ['a', 'b']) {
    const { body } = await api.ask(member, 'POST', '/v3/snapshots', { body: { snapshot: { volume_id: id, name } } });
    assert.ok(body.snapshot, JSON.stringify(body));
    snapshots.push(body.snapshot.id);
    await until(
      () => api.ask(member, 'GET', `/v3/snapshots/${body.snapshot.id}`),
      (answer) => answer.body.snapshot.status === 'available',
    );
  }
  assert.equal((await api.ask(member, 'DELETE', `/v3/volumes/${id}`)).status, 400);
  assert.equal((await api.ask(member, 'DELETE', `/v3/volumes/${id}?cascade=True`)).status, 202);
  await until(
    () => show(id),
    ({ status }) => status === 404,
  );
  for (const each of snapshots) assert.equal((await api.ask(member, 'GET', `/v3/snapshots/${each}`)).status, 404);
});

test('volumes are made from volumes and snapshots, in Cinder’s words where they are not', async () => {
  const create = (volume: object, token = member) => api.ask(token, 'POST', '/v3/volumes', { body: { volume } });
  const source = await made();
  const grown = await api.ask(member, 'POST', `/v3/volumes/${source}/action`, {
    body: { 'os-extend': { new_size: 2 } },
  });
  assert.equal(grown.status, 202);
  const available = (id: string) =>
    until(
      () => show(id),
      ({ body }) => body.volume.status === 'available',
    );
  await available(source);
  const { body } = await api.ask(member, 'POST', '/v3/snapshots', { body: { snapshot: { volume_id: source } } });
  const { id: snapshot } = body.snapshot;
  await until(
    () => api.ask(member, 'GET', `/v3/snapshots/${snapshot}`),
    (answer) => answer.body.snapshot.status === 'available',
  );
  for (const [from, size, shown, words] of [
    [{ source_volid: source }, undefined, 2, /'1'GB cannot be smaller than original volume size/],
    [{ snapshot_id: snapshot }, 3, 3, /'1'GB cannot be smaller than the snapshot size 2GB/],
  ] as const) {
    const smaller = await create({ ...from, size: 1 });
    assert.deepEqual([smaller.status, words.test(smaller.body.badRequest.message)], [400, true]);
    assert.equal((await create(from, stranger)).status, 404);
    const begun = await create({ ...from, size });
    assert.equal(begun.status, 202, JSON.stringify(begun.body));
    const { id, status, size: gibs, ...told } = begun.body.volume;
    assert.deepEqual([status, gibs], ['creating', shown]);
    const { snapshot_id, source_volid } = { snapshot_id: null, source_volid: null, ...from };
    assert.deepEqual([told.snapshot_id, told.source_volid], [snapshot_id, source_volid]);
    await available(id);
  }
  const both = await create({ source_volid: source, snapshot_id: snapshot });
  assert.equal(both.status, 400);
});

test('a device that is not there is made no volume, and it is said so', async () => {
  const { body } = await show(await made());
  const host = body.volume['os-vol-host-attr:host'];
  const volume = { host, ref: { 'source-name': 'nothing-of-the-kind' }, name: 'found' };
  const { status, body: said } = await api.ask(admin, 'POST', '/v3/manageable_volumes', { body: { volume } });
  assert.equal(status, 400, JSON.stringify(said));
  assert.match(said.badRequest.message, /nothing-of-the-kind/);
});
