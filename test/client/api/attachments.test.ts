import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { reportComputeNode } from '../../../registry/compute-nodes.ts';
import { openRegistry, type Registry } from '../../../registry/open-registry.ts';
import { server1, server2, setStage, type Stage } from '../../end-to-end/stage.ts';
import { Nova, refusedWith } from './nova.ts';
import { admin, member, startApi } from './served.ts';

let stage: Stage;
let api: Awaited<ReturnType<typeof startApi>>;
let registry: Registry;
let nova: Nova;

before(async () => {
  stage = await setStage({ backing: 'directory' });
  process.env['TEMPORAL_ADDRESS'] = stage.temporal.address;
  api = await startApi(stage.postgres.url);
  registry = await openRegistry(stage.postgres.url);
  nova = new Nova(api, member);
});

after(async () => {
  await api?.close();
  await registry?.close();
  await stage?.strike();
});

const instance = '11111111-2222-3333-4444-555555555555';

const made = async () => (await stage.volume(server1)).id;

/** A guest's QEMU as it uses the export; ends it. */
async function guestOn(info: { host: string; port: number; export_name: string }) {
  const guest = spawn('qemu-io', ['-f', 'raw', `nbd://${info.host}:${info.port}/${info.export_name}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  guest.stdin.write('write -P 7 0 64k\nflush\n');
  for await (const chunk of guest.stdout) if (String(chunk).includes('wrote')) break;
  return async () => {
    const exit = once(guest, 'exit');
    guest.kill();
    await exit;
  };
}

describe("Nova's calls", () => {
  test('attach and detach: each step shows in the volume, and the bytes are reached by what is answered', async () => {
    const id = await made();
    const attachment = await nova.reserve(id, instance);
    assert.equal(await nova.sees(id), 'reserved reserved');
    const info = await nova.connect(attachment, 'hv1');
    assert.partialDeepStrictEqual(info, {
      driver_volume_type: 'nbd',
      export_name: `attachment-${attachment}`,
      volume_id: id,
      access_mode: 'rw',
      encrypted: false,
      qos_specs: null,
      attachment_id: attachment,
    });
    assert.equal(await nova.sees(id), 'attaching attaching');
    assert.deepEqual((await nova.call('GET', `/volumes/${id}`)).volume.attachments, []);
    // Asked once more, as after a timeout: the same connection.
    assert.deepEqual(await nova.connect(attachment, 'hv1'), info);
    const leave = await guestOn(info);
    await nova.complete(attachment);
    assert.equal(await nova.sees(id), 'in-use attached');
    const { attachments } = (await nova.call('GET', `/volumes/${id}`)).volume;
    assert.partialDeepStrictEqual(attachments, [
      { id, attachment_id: attachment, server_id: instance, device: '/dev/vdb', host_name: null },
    ]);
    const shown = (await nova.call('GET', `/attachments/${attachment}`)).attachment;
    assert.deepEqual(Object.keys(shown).toSorted(), [
      'attach_mode',
      'attached_at',
      'connection_info',
      'detached_at',
      'id',
      'instance',
      'status',
      'volume_id',
    ]);
    await leave();
    assert.deepEqual(await nova.detach(id, attachment), []);
    assert.equal(await nova.sees(id), 'available');
    await assert.rejects(nova.end(attachment), refusedWith(404, /attachment_id = /));
  });

  test('a guest that still has the disk keeps its attachment, with 409; rolled back it is in use again', async () => {
    const id = await made();
    const { id: attachment, info } = await nova.attach(id, instance, 'hv1');
    const leave = await guestOn(info);
    await nova.act(id, 'os-begin_detaching');
    await assert.rejects(nova.end(attachment), refusedWith(409, /conflictingRequest.*still in use/));
    await nova.act(id, 'os-roll_detaching');
    assert.equal(await nova.sees(id), 'in-use attached');
    await leave();
    assert.deepEqual(await nova.detach(id, attachment), []);
  });

  test('fail in each of their places, and the volume is available after the end of the attachment', async () => {
    const id = await made();
    // The hypervisor never answers its conductor.
    await nova.end(await nova.reserve(id, instance));
    assert.equal(await nova.sees(id), 'available');
    // os-brick cannot connect.
    const connected = await nova.reserve(id, instance);
    await nova.connect(connected, 'hv1');
    await assert.rejects(nova.act(id, 'os-begin_detaching'), refusedWith(400, /Unable to detach volume/));
    await nova.end(connected);
    assert.equal(await nova.sees(id), 'available');
    // Nova completes what it never connected.
    const early = await nova.reserve(id, instance);
    await assert.rejects(nova.complete(early), refusedWith(400, /Invalid volume/));
    await nova.end(early);
    assert.equal(await nova.sees(id), 'available');
  });

  test('resize: the new host gets the volume once the old one has left it, and not before', async () => {
    const id = await made();
    const { id: old } = await nova.attach(id, instance, 'hv1');
    const next = await nova.reserve(id, instance);
    await assert.rejects(nova.connect(next, 'hv2'), refusedWith(409, /duplicate connectors detected on volume/));
    assert.deepEqual(
      (await nova.end(old)).map((each) => each.id),
      [next],
    );
    assert.equal(await nova.sees(id), 'reserved reserved');
    await nova.connect(next, 'hv2');
    await nova.complete(next);
    assert.equal(await nova.sees(id), 'in-use attached');
    await nova.detach(id, next);
  });

  test('on the storage node itself the volume is its own device', async () => {
    await reportComputeNode(registry, 'server1');
    const id = await made();
    const { id: attachment, info } = await nova.attach(id, instance, 'server1');
    assert.equal(info.driver_volume_type, 'local');
    assert.match(info.device_path, new RegExp(`^/.*volume-${id}$`));
    assert.deepEqual(await nova.detach(id, attachment), []);
    assert.equal(await nova.sees(id), 'available');
  });

  test('a volume that is attached so does not move, and one that moves is not attached', async () => {
    const id = await made();
    const { id: attachment } = await nova.attach(id, instance, 'hv1');
    const move = (token: string) =>
      api.ask(token, 'POST', `/v3/volumes/${id}/action`, { body: { 'os-migrate_volume': { host: server2 } } });
    const refused = await move(admin);
    assert.equal(refused.status, 400);
    assert.match(refused.body.badRequest.message, /Detach the volume first/);
    await nova.detach(id, attachment);
    const handle = await stage.migrate(id, { bandwidth: 1024 ** 2 });
    await assert.rejects(nova.reserve(id, instance), refusedWith(400, /migrating/));
    await assert.rejects(nova.act(id, 'os-initialize_connection', { connector: Nova.connector('hv1') }), /400/);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
  });
});

describe('attachments', () => {
  test('with a connector at once, for a host; its end leaves nothing', async () => {
    const id = await made();
    const attachment = { volume_uuid: id, connector: Nova.connector('hv1'), mode: 'ro' };
    const created = (await nova.call('POST', '/attachments', { attachment })).attachment;
    assert.partialDeepStrictEqual(created, {
      instance: null,
      attach_mode: 'ro',
      connection_info: { access_mode: 'ro' },
    });
    assert.equal(await nova.sees(id), 'attaching attaching');
    assert.deepEqual(await nova.end(created.id), []);
    assert.equal(await nova.sees(id), 'available');
  });
});

describe('the old way', () => {
  test('reserve, initialize_connection, attach, begin_detaching, terminate_connection, detach', async () => {
    const id = await made();
    const connector = Nova.connector('hv1');
    await nova.act(id, 'os-reserve');
    const { connection_info: info } = await nova.act(id, 'os-initialize_connection', { connector });
    assert.equal(info.driver_volume_type, 'nbd');
    assert.equal(info.data.volume_id, id);
    assert.deepEqual((await nova.act(id, 'os-initialize_connection', { connector })).connection_info, info);
    await nova.act(id, 'os-attach', { host_name: 'hv1', mountpoint: '/dev/vdb', mode: 'rw' });
    assert.equal(await nova.sees(id), 'in-use attached');
    const leave = await guestOn(info.data);
    await nova.act(id, 'os-begin_detaching');
    const early = nova.act(id, 'os-terminate_connection', { connector });
    await assert.rejects(early, refusedWith(409, /still in use/));
    await leave();
    // What the refused one began is shown no more.
    await nova.act(id, 'os-terminate_connection', { connector });
    assert.equal(await nova.sees(id), 'detaching attached');
    await nova.act(id, 'os-terminate_connection', { connector });
    await nova.act(id, 'os-detach', {});
    assert.equal(await nova.sees(id), 'available');
    await nova.act(id, 'os-detach', {});
    await nova.act(id, 'os-detach', null);
  });

  test('attach without a connection is only said; an administrator may force what is used', async () => {
    const id = await made();
    await nova.act(id, 'os-attach', { instance_uuid: instance, mountpoint: '/dev/vdc' });
    assert.equal(await nova.sees(id), 'in-use attached');
    const deletion = nova.call('DELETE', `/volumes/${id}`);
    await assert.rejects(deletion, refusedWith(400, /must be available or error/));
    await nova.act(id, 'os-detach', {});
    const { info } = await nova.attach(id, instance, 'hv1');
    const leave = await guestOn(info);
    await assert.rejects(nova.act(id, 'os-force_detach', {}), refusedWith(403, /force_detach/));
    const forced = await api.ask(admin, 'POST', `/v3/volumes/${id}/action`, { body: { 'os-force_detach': {} } });
    assert.equal(forced.status, 202, JSON.stringify(forced.body));
    assert.equal(await nova.sees(id), 'available');
    await leave();
  });
});
