import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, beforeEach, describe, test } from 'node:test';
import {
  createRegistryActivities,
  type RegistryActivities,
} from '../../activities/registry/create-registry-activities.ts';
import { cloudEvent, type DataForm } from '../../model/notifications/cloud-event.ts';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import {
  announceWebhook,
  countDeliveries,
  discardDeliveries,
  dueDeliveries,
  findDelivery,
  forgetOldEvents,
  listDeliveries,
  noteDelivered,
  noteFailed,
  retryDeliveries,
} from '../../registry/events.ts';
import { releaseVolume, switchVolume } from '../../registry/migration-steps.ts';
import { finishPlan } from '../../registry/move-plans.ts';
import { noColumns } from '../../registry/rows.ts';
import { acceptTransfer, createTransfer } from '../../registry/transfers.ts';
import { resetState } from '../../registry/reset-state.ts';
import type { SeenData } from '../end-to-end/event-receiver.ts';
import { testRegistry } from './database.ts';
import { anOwner, claimArguments, destination, put, putBackEnd, putSnapshot, putVolume, source } from './world.ts';

const reason = { type: 'ToolFailed', message: 'lvcreate failed' } as const;
const hook = 'billing';

let registry: Awaited<ReturnType<typeof testRegistry>>;
let a: RegistryActivities;

before(async () => {
  registry = await testRegistry();
  a = createRegistryActivities({ registry });
  await putBackEnd(registry, source, { freeBytes: 5000 * gib });
  await putBackEnd(registry, destination, { freeBytes: 5000 * gib });
});

beforeEach(async () => {
  await registry.rows(noColumns, 'DELETE FROM webhooks');
  await registry.rows(noColumns, 'DELETE FROM events');
  await announceWebhook(registry, { name: hook, kinds: null });
});

/** All that is told of a subject, in order, as its receiver would see it. */
async function told(subject: string, form: DataForm = 'ferry') {
  const all = await listDeliveries(registry, { webhook: hook, limit: 1000 });
  const its = all.filter((each) => each.subject === subject).toReversed();
  const events = [];
  for (const { sequence } of its) {
    const found = await findDelivery(registry, { webhook: hook, sequence });
    assert.ok(found, 'it is the turn of each, when the one before is told');
    events.push(cloudEvent(found.event, { registry: found.registry, form }));
    await noteDelivered(registry, { webhook: hook, sequence });
  }
  return events;
}

const typesOf = async (subject: string) => (await told(subject)).map(({ type }) => type);

describe('each end is told once, in the transaction that makes it', () => {
  test('of a volume’s life, in order, also when each step is repeated', async () => {
    const volumeId = randomUUID();
    const ticket = (workflow: string) => ({ volumeId, owner: anOwner(workflow) });
    const create = { ...ticket('create'), tenantId: 'tenant-1', sizeBytes: gib, backEnd: source, name: 'mine' };
    await a.beginCreate(create);
    await a.finishCreate(create);
    await a.finishCreate(create);
    const attach = { ...ticket('attach'), attachmentId: randomUUID(), instanceId: 'vm-1', computeHost: 'hv1' };
    await a.beginAttach(attach);
    await a.finishAttach({ ...attach, device: 'vdb' });
    const detach = { ...ticket('detach'), attachmentId: attach.attachmentId };
    await a.beginDetach(detach);
    await a.finishDetach(detach);
    const snapshot = { ...ticket('snapshot'), snapshotId: randomUUID(), name: 'before' };
    await a.beginSnapshot(snapshot);
    await a.finishSnapshot(snapshot);
    const unsnapshot = { ...ticket('delete-snapshot'), snapshotId: snapshot.snapshotId };
    await a.beginSnapshotDelete(unsnapshot);
    await a.finishSnapshotDelete(unsnapshot);
    const remove = ticket('delete');
    await a.beginDelete(remove);
    await a.failDelete({ ...remove, reason });
    const again = ticket('delete again');
    await a.beginDelete(again);
    await a.finishDelete(again);
    await a.finishDelete(again);

    const events = await told(volumeId);
    assert.deepEqual(
      events.map(({ type }) => type),
      [
        'ferry.volume.create.success',
        'ferry.volume.attach.success',
        'ferry.volume.detach.success',
        'ferry.volume.snapshot.success',
        'ferry.volume.delete-snapshot.success',
        'ferry.volume.delete.error',
        'ferry.volume.delete.success',
      ],
    );
    const data = events.map((each) => each.data as unknown as SeenData);
    assert.deepEqual(
      data.map(({ volume }) => volume.status),
      ['available', 'in-use', 'available', 'available', 'available', 'error_deleting', 'deleting'],
    );
    assert.deepEqual(data[0]!.volume.sizeBytes, gib);
    for (const at of [1, 2])
      assert.deepEqual(
        data[at]!.attachments.map(({ instanceId, device }) => [instanceId, device]),
        [['vm-1', 'vdb']],
      );
    for (const at of [3, 4])
      assert.deepEqual(
        data[at]!.snapshots.map(({ id }) => id),
        [snapshot.snapshotId],
      );
    assert.deepEqual(data[5]!.error, reason);
    assert.equal(data[6]!.volume.name, 'mine', 'what is gone is told as it was');
    assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
    assert.ok(events.every(({ subject, partitionkey }) => subject === volumeId && partitionkey === volumeId));
  });

  test('of the snapshots that go with their volume, one by one', async () => {
    const volumeId = await putVolume(registry);
    const snapshotIds = [await putSnapshot(registry, volumeId), await putSnapshot(registry, volumeId)].toSorted();
    const remove = { volumeId, owner: anOwner('delete'), cascade: true };
    await a.beginDelete(remove);
    await a.failDelete({ ...remove, reason });
    const again = { ...remove, owner: anOwner('delete again') };
    await a.beginDelete(again);
    await a.finishDelete(again);
    const events = (await told(volumeId, 'oslo')).map((each) => each.data as unknown as SeenData);
    assert.deepEqual(
      events.map(({ event_type: type, payload }) => [type, payload['snapshot_id'], payload['status']]),
      [
        ['volume.delete.error', null, 'error_deleting'],
        ...snapshotIds.map((id) => ['snapshot.delete.end', id, 'deleted']),
        ['volume.delete.end', null, 'deleting'],
      ],
    );
  });

  test('of a migration that succeeds, and of one that does not', async () => {
    const { claim } = await claimVolume(registry, claimArguments(await putVolume(registry)));
    await switchVolume(registry, claim);
    await releaseVolume(registry, claim, { outcome: 'success' });
    await releaseVolume(registry, claim, { outcome: 'success' });
    const [moved, ...none] = await told(claim.volumeId);
    assert.deepEqual(none, []);
    assert.equal(moved!.type, 'ferry.volume.migrate.success');
    const { migration } = moved!.data as unknown as SeenData;
    assert.deepEqual([migration.id, migration.source, migration.destination], [claim.migrationId, source, destination]);

    const { claim: other } = await claimVolume(registry, claimArguments(await putVolume(registry)));
    await releaseVolume(registry, other, { outcome: 'error', error: reason });
    const [failed] = await told(other.volumeId);
    assert.equal(failed!.type, 'ferry.volume.migrate.error');
    assert.deepEqual((failed!.data as unknown as SeenData).error, reason);
  });

  test('of an evacuation, with what came of its volumes', async () => {
    const planId = randomUUID();
    await put(registry, 'move_plans', { id: planId, kind: 'evacuation', source: 'server1', requested_by: 'admin' });
    for (const [position, state] of ['moved', 'moved', 'failed'].entries())
      await put(registry, 'planned_moves', {
        plan_id: planId,
        volume_id: randomUUID(),
        position,
        size_bytes: gib,
        attached: false,
        source,
        destination,
        state,
      });
    await finishPlan(registry, planId, 'incomplete');
    await finishPlan(registry, planId, 'emptied');
    const events = await told('server1');
    assert.deepEqual(
      events.map(({ type }) => type),
      ['ferry.plan.evacuation.incomplete'],
    );
    const { plan } = events[0]!.data as unknown as SeenData;
    assert.deepEqual(plan.volumes, { moved: 2, failed: 1 });
  });

  test('of a transfer, and of what an operator gives up', async () => {
    const volumeId = await putVolume(registry);
    const offer = { id: randomUUID(), volumeId, name: null, noSnapshots: false, keySalt: 'salt', keyHash: 'hash' };
    await createTransfer(registry, offer);
    await acceptTransfer(registry, { id: offer.id, tenantId: 'tenant-2', userId: 'someone', opens: () => true });
    assert.deepEqual(await typesOf(volumeId), ['ferry.volume.transfer.success']);

    const stuck = await putVolume(registry);
    const owner = anOwner('extend');
    await a.beginExtend({ volumeId: stuck, owner, sizeBytes: 2 * gib });
    await resetState(registry, { volumeId: stuck, abandon: owner });
    const [abandoned] = await told(stuck);
    assert.equal(abandoned!.type, 'ferry.volume.extend.abandoned');
    assert.equal((abandoned!.data as unknown as SeenData).volume.status, 'error');
  });

  test('and nothing of what was rolled back', async () => {
    const volumeId = await putVolume(registry);
    const extend = { volumeId, owner: anOwner('extend'), sizeBytes: 2 * gib };
    await a.beginExtend(extend);
    await assert.rejects(
      registry.transaction(async (q) => {
        await q.rows(noColumns, `UPDATE operations SET outcome = 'success', finished_at = now() WHERE volume_id = $1`, [
          volumeId,
        ]);
        throw new Error('no');
      }),
      /no/,
    );
    assert.deepEqual(await typesOf(volumeId), []);
  });
});

test('in the form of Cinder’s notifications, a volume’s and a snapshot’s usage are as Cinder’s', async () => {
  const volumeId = await putVolume(registry, { metadata: { a: 'b' }, size_bytes: gib + 1024 ** 2 });
  await putSnapshot(registry, volumeId, { status: 'available' });
  const snapshot = { volumeId, owner: anOwner('snapshot'), snapshotId: randomUUID() };
  await a.beginSnapshot(snapshot);
  await a.failSnapshot({ ...snapshot, reason });
  const extend = { volumeId, owner: anOwner('extend'), sizeBytes: 3 * gib };
  await a.beginExtend(extend);
  await a.finishExtend(extend);
  const [failed, resized] = (await told(volumeId, 'oslo')).map((each) => each.data as unknown as SeenData);
  assert.deepEqual([failed!.event_type, failed!.priority], ['snapshot.create.error', 'ERROR']);
  assert.deepEqual([failed!.payload.snapshot_id, failed!.payload.volume_size], [snapshot.snapshotId, 2]);
  assert.equal(failed!.payload.error, reason.message);
  assert.deepEqual([resized!.event_type, resized!.publisher_id], ['volume.resize.end', `volume.${source}`]);
  const { tenant_id, volume_id, size, status, metadata } = resized!.payload;
  assert.deepEqual(
    { tenant_id, volume_id, size, status, metadata },
    { tenant_id: 'tenant-1', volume_id: volumeId, size: 3, status: 'available', metadata: { a: 'b' } },
  );
  assert.match(resized!.timestamp, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
});

describe('who is told', () => {
  const end = async () => {
    const extend = { volumeId: await putVolume(registry), owner: anOwner('extend'), sizeBytes: 2 * gib };
    await a.beginExtend(extend);
    await a.finishExtend(extend);
    return extend.volumeId;
  };
  const heard = async (webhook: string) => (await listDeliveries(registry, { webhook, limit: 10 })).map((d) => d.kind);

  test('only of the kinds that it wants', async () => {
    await announceWebhook(registry, { name: 'chat', kinds: ['migrate'] });
    await end();
    assert.deepEqual([await heard(hook), await heard('chat')], [['extend'], []]);
    await announceWebhook(registry, { name: 'chat', kinds: ['migrate', 'extend'] });
    await end();
    assert.deepEqual(await heard('chat'), ['extend']);
  });

  test('nobody whom no worker has for a day; without anybody nothing is written down', async () => {
    await registry.rows(noColumns, `UPDATE webhooks SET heard_at = now() - interval '25 hours'`);
    await end();
    assert.deepEqual(await heard(hook), []);
    const events = await registry.rows(noColumns, 'SELECT FROM events');
    assert.equal(events.length, 0);
    await announceWebhook(registry, { name: hook, kinds: null });
    await end();
    assert.deepEqual(await heard(hook), ['extend']);
  });
});

describe('what is due', () => {
  const due = async () => (await dueDeliveries(registry, hook, 10)).map(({ sequence }) => sequence);
  /** Two volumes with two events each; their sequences. */
  const twice = async () => {
    const volumes = [await putVolume(registry), await putVolume(registry)];
    for (const size of [2, 3])
      for (const volumeId of volumes) {
        const extend = { volumeId, owner: anOwner('extend'), sizeBytes: size * gib };
        await a.beginExtend(extend);
        await a.finishExtend(extend);
      }
    const all = (await listDeliveries(registry, { limit: 10 })).toReversed();
    return volumes.map((id) => all.filter(({ subject }) => subject === id).map(({ sequence }) => sequence));
  };
  const fail = (sequence: number, change: Partial<Parameters<typeof noteFailed>[1]> = {}) =>
    noteFailed(registry, {
      webhook: hook,
      sequence,
      problem: 'it answered 500',
      againSeconds: 60,
      giveUpSeconds: 3600,
      ...change,
    });

  test('of each volume the first; what has to wait holds back its own volume’s alone', async () => {
    const [[first, second], [other, another]] = (await twice()) as [[number, number], [number, number]];
    assert.deepEqual(await due(), [first, other]);
    assert.equal(await findDelivery(registry, { webhook: hook, sequence: second }), null);
    assert.equal(await fail(first), 'waiting');
    await noteDelivered(registry, { webhook: hook, sequence: other });
    assert.deepEqual(await due(), [another]);
    assert.equal(await findDelivery(registry, { webhook: hook, sequence: other }), null, 'told already');
    await retryDeliveries(registry, { webhook: hook });
    assert.deepEqual(
      (await due()).toSorted((x, y) => x - y),
      [first, another],
    );
  });

  test('a try that has no use, or comes too late, was the last one; then the next event is told', async () => {
    const [[first, second], [other]] = (await twice()) as [[number, number], [number, number]];
    assert.equal(await fail(first, { againSeconds: null }), 'dead');
    assert.equal(await fail(other), 'waiting');
    await registry.rows(
      noColumns,
      `UPDATE event_deliveries SET first_try_at = now() - interval '2 hours' WHERE tries > 0`,
    );
    assert.equal(await fail(other), 'dead');
    assert.ok((await due()).includes(second));
    const [standing] = await countDeliveries(registry);
    assert.deepEqual([standing!.webhook, standing!.waiting, standing!.dead], [hook, 2, 2]);
    assert.ok(standing!.oldestSeconds > 0);
    const dead = await listDeliveries(registry, { states: ['dead'], limit: 10 });
    assert.deepEqual(
      dead.map(({ problem, tries }) => [problem, tries]),
      [
        ['it answered 500', 2],
        ['it answered 500', 1],
      ],
    );
    assert.equal(await retryDeliveries(registry, { eventId: dead[0]!.id }), 1);
    assert.ok((await due()).includes(other));
    assert.equal(await discardDeliveries(registry, { eventId: dead[1]!.id, webhook: hook }), 1);
    assert.equal(await discardDeliveries(registry, { eventId: dead[1]!.id, webhook: hook }), 0);
  });

  test('what is told stays told: a late failure of a try changes nothing', async () => {
    const [[first]] = (await twice()) as [[number, number]];
    await noteDelivered(registry, { webhook: hook, sequence: first });
    assert.equal(await fail(first, { againSeconds: null }), 'delivered');
    const told = await listDeliveries(registry, { states: ['delivered'], limit: 10 });
    assert.deepEqual(
      told.map(({ sequence, problem }) => [sequence, problem]),
      [[first, null]],
    );
  });

  test('nothing of a month ago, and nothing for a webhook that no worker has had for a week', async () => {
    await twice();
    await registry.rows(noColumns, `UPDATE events SET at = now() - interval '31 days'`);
    assert.deepEqual(await forgetOldEvents(registry), []);
    assert.deepEqual(await listDeliveries(registry, { limit: 10 }), []);
    await twice();
    await registry.rows(noColumns, `UPDATE webhooks SET heard_at = now() - interval '2 days'`);
    assert.deepEqual(await countDeliveries(registry), [], 'it raises no alert');
    assert.deepEqual(await forgetOldEvents(registry), []);
    await registry.rows(noColumns, `UPDATE webhooks SET heard_at = now() - interval '8 days'`);
    assert.deepEqual(await forgetOldEvents(registry), [hook]);
    assert.deepEqual(await listDeliveries(registry, { limit: 10 }), []);
  });
});
