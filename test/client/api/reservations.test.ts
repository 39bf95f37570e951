import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { testRegistry } from '../../registry/database.ts';
import { putBackEnd, putVolume, source } from '../../registry/world.ts';
import { Nova, refusedWith } from './nova.ts';
import { member, startApi, stranger } from './served.ts';

const instance = '11111111-2222-3333-4444-555555555555';

/** What needs rows only: no Temporal is there. */
describe('attachments that are reserved', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let api: Awaited<ReturnType<typeof startApi>>;
  let nova: Nova;
  const made = () => putVolume(registry);
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
    api = await startApi(registry.url);
    nova = new Nova(api, member);
  });
  after(() => api?.close());

  test("are another project's as if they were not there", async () => {
    const id = await made();
    const attachment = await nova.reserve(id, instance);
    const ask = (method: string, path: string, body?: unknown) =>
      api.ask(stranger, method, `/v3/attachments${path}`, body === undefined ? {} : { body });
    for (const answered of [
      await ask('GET', `/${attachment}`),
      await ask('DELETE', `/${attachment}`),
      await ask('PUT', `/${attachment}`, { attachment: { connector: Nova.connector('hv1') } }),
      await ask('POST', `/${attachment}/action`, { 'os-complete': null }),
      await ask('POST', '', { attachment: { volume_uuid: id } }),
      await ask('GET', '/no-uuid'),
    ])
      assert.equal(answered.status, 404);
    assert.deepEqual((await ask('GET', '/detail?all_tenants=1')).body.attachments, []);
    await nova.end(attachment);
  });

  test('are listed by volume, instance and status, in pages', async () => {
    const ids = [await made(), await made()];
    const vm = randomUUID();
    const all = [await nova.reserve(ids[0]!, vm), await nova.reserve(ids[1]!, vm)];
    const listed = async (query: string) =>
      (await nova.call('GET', `/attachments?${query}`)).attachments.map(({ id }: { id: string }) => id);
    assert.deepEqual(await listed(`instance_id=${vm}`), all.toReversed());
    assert.deepEqual(await listed(`instance_id=${vm}&status=attached`), []);
    assert.deepEqual(await listed(`volume_id=${ids[0]}`), [all[0]]);
    assert.deepEqual(await listed(`instance_id=${vm}&limit=1`), [all[1]]);
    assert.deepEqual(await listed(`instance_id=${vm}&limit=1&marker=${all[1]}`), [all[0]]);
    await assert.rejects(listed('nonsense=1'), refusedWith(400, /Invalid filters nonsense/));
    for (const id of all) await nova.end(id);
  });

  test('whatever is sent, nothing is answered with 500', async () => {
    const id = await made();
    const attachment = await nova.reserve(id, instance);
    const bad: [string, string, unknown][] = [
      ['POST', '/attachments', {}],
      ['POST', '/attachments', { attachment: {} }],
      ['POST', '/attachments', { attachment: { volume_uuid: 'x' } }],
      ['POST', '/attachments', { attachment: { volume_uuid: id, instance_uuid: 7 } }],
      ['POST', '/attachments', { attachment: { volume_uuid: id, mode: 'x' } }],
      ['POST', '/attachments', { attachment: { volume_uuid: id, nonsense: 1 } }],
      ['PUT', `/attachments/${attachment}`, { attachment: { connector: {} } }],
      ['PUT', `/attachments/${attachment}`, { attachment: { connector: { host: '../etc' } } }],
      ['PUT', `/attachments/${attachment}`, { attachment: { connector: { ip: '127.0.0.1' } } }],
      ['PUT', `/attachments/${attachment}`, { attachment: { connector: 'hv1' } }],
      ['POST', `/volumes/${id}/action`, { 'os-attach': {} }],
      ['POST', `/volumes/${id}/action`, { 'os-attach': { mountpoint: '/dev/vdb' } }],
      ['POST', `/volumes/${id}/action`, { 'os-attach': { mountpoint: '', host_name: 'hv1' } }],
      ['POST', `/volumes/${id}/action`, { 'os-initialize_connection': {} }],
      ['POST', `/volumes/${id}/action`, { 'os-terminate_connection': { connector: null } }],
      ['POST', `/volumes/${id}/action`, { 'os-detach': { attachment_id: 'x' } }],
    ];
    for (const [method, path, body] of bad)
      await assert.rejects(nova.call(method, path, body), refusedWith(400, /badRequest/), JSON.stringify(body));
    const below = await api.ask(member, 'GET', '/v3/attachments', { minor: 26 });
    assert.equal(below.status, 404);
    assert.equal(await nova.sees(id), 'reserved reserved');
    await nova.end(attachment);
  });

  test('a snapshot of no volume, and a volume without an id, are not there', async () => {
    const snapshot = { volume_id: null, name: 's' };
    await assert.rejects(nova.call('POST', '/snapshots', { snapshot }), refusedWith(404, /Volume None could not/));
    await assert.rejects(nova.call('POST', '/snapshots', { snapshot: {} }), refusedWith(400, /required property/));
    for (const method of ['GET', 'DELETE', 'PUT'])
      await assert.rejects(
        nova.call(method, '/volumes/', method === 'PUT' ? {} : undefined),
        refusedWith(404, /not be found/),
      );
    assert.equal((await api.ask(member, 'GET', '/v3/')).status, 200);
    assert.equal((await api.ask(member, 'GET', '/v3/tenant-1/volumes')).status, 200);
    assert.equal((await api.ask(member, 'GET', '/v3/tenant-1/volumes/')).status, 404);
  });
});
