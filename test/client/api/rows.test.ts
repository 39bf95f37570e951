import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { statusOf } from '../../../model/volume.ts';
import { setQuotas } from '../../../registry/quotas.ts';
import { snapshotStatusOf } from '../../../model/snapshot.ts';
import { findSnapshot } from '../../../registry/snapshots.ts';
import { createVolumeType } from '../../../registry/volume-types.ts';
import { findVolume } from '../../../registry/volumes.ts';
import { testRegistry } from '../../registry/database.ts';
import { putAttachment, putBackEnd, putSnapshot, putVolume, source } from '../../registry/world.ts';
import { admin, member, startApi, stranger } from './served.ts';

/** What needs rows only: no Temporal is there. */
describe('the API on the registry', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let api: Awaited<ReturnType<typeof startApi>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
    api = await startApi(registry.url);
  });
  after(() => api?.close());

  const get = (token: string, path: string, minor?: number) =>
    api.ask(token, 'GET', path, minor === undefined ? {} : { minor });
  const post = (token: string, path: string, body: unknown) => api.ask(token, 'POST', path, { body });
  const put = (token: string, path: string, body: unknown) => api.ask(token, 'PUT', path, { body });
  const drop = (token: string, path: string) => api.ask(token, 'DELETE', path);

  test('quotas are set by administrators, shown with what is used, and let go', async () => {
    const project = randomUUID().replaceAll('-', '');
    const path = `/v3/os-quota-sets/${project}`;
    const before = await get(admin, path);
    assert.equal(before.status, 200);
    assert.equal(before.body.quota_set.id, project);
    assert.equal(before.body.quota_set.volumes, -1);
    const set = await put(admin, path, { quota_set: { volumes: 1, gigabytes: '5', per_volume_gigabytes: 2 } });
    assert.deepEqual([set.status, set.body.quota_set.volumes, set.body.quota_set.gigabytes], [200, 1, 5]);
    assert.equal('id' in set.body.quota_set, false);
    await putVolume(registry, { tenant_id: project });
    const used = await get(admin, `${path}?usage=True`);
    assert.deepEqual(used.body.quota_set.gigabytes, { limit: 5, in_use: 1, reserved: 0 });
    const own = `root:${project}:member`;
    assert.equal((await get(own, '/v3/limits')).body.limits.absolute.totalVolumesUsed, 1);
    assert.equal((await get(own, '/v3/limits')).body.limits.absolute.maxTotalVolumes, 1);
    assert.equal((await drop(admin, path)).status, 200);
    assert.equal((await get(admin, path)).body.quota_set.volumes, -1);
    const defaults = (await get(admin, `${path}/defaults`)).body.quota_set;
    const ofClass = (await get(admin, '/v3/os-quota-class-sets/default')).body.quota_class_set;
    assert.deepEqual({ ...defaults, id: 'default' }, ofClass);
  });

  test('what is no quota is refused', async () => {
    const path = `/v3/os-quota-sets/tenant-9`;
    for (const bad of [{ volumes: -2 }, { volumes: 'many' }, { volumes: 1.5 }, { volumes: 2 ** 40 }, { nonsense: 1 }])
      assert.equal((await put(admin, path, { quota_set: bad })).status, 400, JSON.stringify(bad));
    assert.equal((await put(admin, path, {})).status, 400);
    assert.equal((await put(member, path, { quota_set: { volumes: 1 } })).status, 403);
    assert.equal((await drop(member, path)).status, 403);
    assert.equal((await get(admin, '/v3/os-quota-class-sets/other')).status, 404);
  });

  test('a volume is offered, found and taken with its key only', async () => {
    const volumeId = await putVolume(registry);
    const offered = await post(member, '/v3/volume-transfers', { transfer: { volume_id: volumeId, name: 't' } });
    assert.equal(offered.status, 202);
    const { id, auth_key: key } = offered.body.transfer;
    assert.match(key, /^[0-9a-f]{32}$/);
    const shown = await get(member, `/v3/volume-transfers/${id}`);
    const words = ['created_at', 'id', 'links', 'name', 'volume_id'];
    assert.deepEqual(
      Object.keys(shown.body.transfer).toSorted(),
      [...words, 'no_snapshots', 'source_project_id', 'destination_project_id', 'accepted'].toSorted(),
    );
    assert.deepEqual(
      Object.keys((await get(member, `/v3/os-volume-transfer/${id}`, 0)).body.transfer).toSorted(),
      words,
    );
    assert.equal((await get(member, `/v3/volume-transfers/${id}`, 54)).status, 404);
    assert.equal((await get(stranger, `/v3/volume-transfers/${id}`)).status, 404);
    const listed = (await get(member, '/v3/os-volume-transfer/detail')).body.transfers;
    assert.deepEqual(
      listed.map((each: { id: string }) => each.id),
      [id],
    );
    assert.deepEqual((await get(stranger, '/v3/volume-transfers')).body.transfers, []);
    const accept = (auth: string) =>
      post(stranger, `/v3/volume-transfers/${id}/accept`, { accept: { auth_key: auth } });
    const wrong = await accept('x');
    assert.deepEqual(wrong.body.badRequest, {
      code: 400,
      message: `Invalid auth key: Attempt to transfer ${id} with invalid auth key.`,
    });
    await setQuotas(registry, 'tenant-2', { volumes: 0 });
    const poor = await accept(key);
    assert.equal(poor.status, 413);
    assert.deepEqual(poor.body.overLimit, {
      code: 413,
      message: "VolumeLimitExceeded: Maximum number of volumes allowed (0) exceeded for quota 'volumes'.",
      retryAfter: '0',
    });
    await setQuotas(registry, 'tenant-2', { volumes: -1 });
    assert.equal((await accept(key)).status, 202);
    const taken = await findVolume(registry, volumeId);
    assert.deepEqual([taken.tenantId, taken.userId, taken.status], ['tenant-2', 'bob', 'available']);
    assert.equal((await accept(key)).status, 404);
  });

  test('an offer is withdrawn, and one of a volume that is not available is refused', async () => {
    const volumeId = await putVolume(registry);
    const offer = () => post(member, '/v3/os-volume-transfer', { transfer: { volume_id: volumeId } });
    const { id } = (await offer()).body.transfer;
    assert.match((await offer()).body.badRequest.message, /status must be 'available'/);
    assert.equal((await drop(stranger, `/v3/os-volume-transfer/${id}`)).status, 404);
    assert.equal((await drop(member, `/v3/os-volume-transfer/${id}`)).status, 202);
    assert.equal((await findVolume(registry, volumeId)).status, 'available');
    assert.equal((await post(member, '/v3/os-volume-transfer', { transfer: { volume_id: 'x' } })).status, 400);
  });

  test('a private type’s access list is the administrator’s', async () => {
    const type = await createVolumeType(registry, {
      name: `private-${randomUUID()}`,
      description: null,
      extraSpecs: {},
      isPublic: false,
    });
    const path = `/v3/types/${type.id}`;
    const add = { addProjectAccess: { project: 'tenant-1' } };
    assert.equal((await post(member, `${path}/action`, add)).status, 403);
    assert.equal((await post(admin, `${path}/action`, add)).status, 202);
    assert.equal((await post(admin, `${path}/action`, add)).status, 409);
    assert.deepEqual((await get(admin, `${path}/os-volume-type-access`)).body.volume_type_access, [
      { volume_type_id: type.id, project_id: 'tenant-1' },
    ]);
    const remove = { removeProjectAccess: { project: 'tenant-1' } };
    assert.equal((await post(admin, `${path}/action`, remove)).status, 202);
    assert.equal((await post(admin, `${path}/action`, remove)).status, 404);
    const open = await createVolumeType(registry, { name: randomUUID(), description: null, extraSpecs: {} });
    assert.equal((await get(admin, `/v3/types/${open.id}/os-volume-type-access`)).status, 404);
    assert.equal((await post(admin, `/v3/types/${open.id}/action`, add)).status, 400);
  });

  test('a volume is kept for an attachment and a detach, and let go, as often as asked', async () => {
    const available = await putVolume(registry);
    const attached = await putVolume(registry, { status: 'in-use' });
    await putAttachment(registry, attached);
    const act = (id: string, name: string, input: unknown = {}) =>
      post(admin, `/v3/volumes/${id}/action`, { [name]: input });
    const shown = async (id: string) => statusOf(await findVolume(registry, id));
    assert.equal((await act(available, 'os-reserve')).status, 202);
    assert.equal((await act(available, 'os-reserve')).status, 400);
    assert.equal(await shown(available), 'attaching');
    for (const _ of [1, 2]) assert.equal((await act(available, 'os-unreserve')).status, 202);
    assert.equal(await shown(available), 'available');
    assert.equal((await act(available, 'os-begin_detaching')).status, 400);
    assert.equal((await act(attached, 'os-begin_detaching')).status, 202);
    assert.equal(await shown(attached), 'detaching');
    for (const _ of [1, 2]) assert.equal((await act(attached, 'os-roll_detaching')).status, 202);
    assert.equal(await shown(attached), 'in-use');
    assert.equal((await act(available, 'os-update_readonly_flag', { readonly: 'True' })).status, 202);
    assert.equal((await findVolume(registry, available)).readOnly, true);
    assert.equal((await act(attached, 'os-update_readonly_flag', { readonly: true })).status, 400);
    assert.equal((await act(available, 'os-update_readonly_flag', {})).status, 400);
    assert.equal((await post(stranger, `/v3/volumes/${available}/action`, { 'os-reserve': {} })).status >= 403, true);
  });

  test('a snapshot has metadata, and statuses that are set by hand', async () => {
    const id = await putSnapshot(registry, await putVolume(registry), { metadata: { a: '1' } });
    const path = `/v3/snapshots/${id}`;
    const metadata = `${path}/metadata`;
    assert.deepEqual((await get(admin, metadata)).body, { metadata: { a: '1' } });
    assert.deepEqual((await post(admin, metadata, { metadata: { b: '2' } })).body, { metadata: { a: '1', b: '2' } });
    assert.deepEqual((await put(admin, metadata, { metadata: { c: '3' } })).body, { metadata: { c: '3' } });
    assert.deepEqual((await get(admin, `${metadata}/c`)).body, { meta: { c: '3' } });
    assert.deepEqual((await put(admin, `${metadata}/c`, { meta: { c: '4' } })).body, { meta: { c: '4' } });
    assert.equal((await put(admin, `${metadata}/c`, { meta: { d: '4' } })).status, 400);
    assert.equal((await drop(admin, `${metadata}/c`)).status, 200);
    assert.equal((await drop(admin, `${metadata}/c`)).status, 404);
    assert.equal((await get(admin, `${metadata}/c`)).status, 404);
    assert.equal((await get(stranger, metadata)).status >= 403, true);
    const act = (name: string, input: unknown, token = admin) => post(token, `${path}/action`, { [name]: input });
    const shown = async () => snapshotStatusOf(await findSnapshot(registry, id));
    assert.equal((await act('os-reset_status', { status: 'creating' })).status, 202);
    assert.equal(await shown(), 'creating');
    assert.equal((await act('os-update_snapshot_status', { status: 'error', progress: '80%' })).status, 202);
    const told = await findSnapshot(registry, id);
    assert.deepEqual([told.status, told.progress], ['error', '80%']);
    assert.equal((await act('os-update_snapshot_status', { status: 'available' })).status, 400);
    assert.equal((await act('os-reset_status', { status: 'nonsense' })).status, 400);
    assert.equal((await act('os-reset_status', { status: 'error' }, member)).status, 403);
    assert.equal((await act('os-force_delete', {}, member)).status, 403);
  });
});
