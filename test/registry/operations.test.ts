import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import {
  createRegistryActivities,
  type RegistryActivities,
} from '../../activities/registry/create-registry-activities.ts';
import { gib } from '../../model/sizes.ts';
import { findAttachment, listAttachments } from '../../registry/attachments.ts';
import { resetState } from '../../registry/reset-state.ts';
import { findSnapshot, listSnapshots } from '../../registry/snapshots.ts';
import { findVolume, listVolumes, volumeOrNull } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { anOwner, ferryError, putAttachment, putBackEnd, putSnapshot, putVolume, source } from './world.ts';

const reason = { type: 'ToolFailed', message: 'lvcreate failed' } as const;

describe('operations on a volume', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let activities: RegistryActivities;
  before(async () => {
    registry = await testRegistry();
    activities = createRegistryActivities({ registry });
    await putBackEnd(registry, source, { freeBytes: 5000 * gib });
  });

  /** One operation from begin to end, from the volume's first status by way of the middle to the last. */
  interface Course {
    name: string;
    from: 'available' | 'in-use';
    during: string;
    after: string | null;
    begin: (t: Subject) => Promise<unknown>;
    end: (t: Subject) => Promise<unknown>;
  }
  interface Subject {
    volumeId: string;
    owner: string;
    attachmentId: string;
    snapshotId: string;
  }
  const a = () => activities;
  const beginAttach = (t: Subject) => a().beginAttach({ ...t, instanceId: 'vm-1', computeHost: 'hv1' });
  const courses: Course[] = [
    {
      name: 'delete',
      from: 'available',
      during: 'deleting',
      after: null,
      begin: (t) => a().beginDelete(t),
      end: (t) => a().finishDelete(t),
    },
    {
      name: 'a failed delete',
      from: 'available',
      during: 'deleting',
      after: 'error_deleting',
      begin: (t) => a().beginDelete(t),
      end: (t) => a().failDelete({ ...t, reason }),
    },
    {
      name: 'extend',
      from: 'available',
      during: 'extending',
      after: 'available',
      begin: (t) => a().beginExtend({ ...t, sizeBytes: 3 * gib }),
      end: (t) => a().finishExtend({ ...t, sizeBytes: 3 * gib }),
    },
    {
      name: 'a failed extend',
      from: 'available',
      during: 'extending',
      after: 'error_extending',
      begin: (t) => a().beginExtend({ ...t, sizeBytes: 3 * gib }),
      end: (t) => a().failExtend({ ...t, reason }),
    },
    {
      name: 'an extend that touched nothing',
      from: 'available',
      during: 'extending',
      after: 'available',
      begin: (t) => a().beginExtend({ ...t, sizeBytes: 3 * gib }),
      end: (t) => a().failExtend({ ...t, reason, untouched: true }),
    },
    {
      name: 'attach',
      from: 'available',
      during: 'attaching',
      after: 'in-use',
      begin: beginAttach,
      end: (t) => a().finishAttach({ ...t, device: 'vdb', connection: { port: 1 } }),
    },
    {
      name: 'a failed attach',
      from: 'available',
      during: 'attaching',
      after: 'available',
      begin: beginAttach,
      end: (t) => a().failAttach({ ...t, reason }),
    },
    {
      name: 'detach',
      from: 'in-use',
      during: 'detaching',
      after: 'available',
      begin: (t) => a().beginDetach(t),
      end: (t) => a().finishDetach(t),
    },
    {
      name: 'a failed detach',
      from: 'in-use',
      during: 'detaching',
      after: 'in-use',
      begin: (t) => a().beginDetach(t),
      end: (t) => a().failDetach({ ...t, reason }),
    },
    {
      name: 'snapshot',
      from: 'available',
      during: 'snapshotting',
      after: 'available',
      begin: (t) => a().beginSnapshot(t),
      end: (t) => a().finishSnapshot(t),
    },
    {
      name: 'a forced snapshot',
      from: 'in-use',
      during: 'snapshotting',
      after: 'in-use',
      begin: (t) => a().beginSnapshot({ ...t, force: true }),
      end: (t) => a().finishSnapshot(t),
    },
    {
      name: 'a failed snapshot',
      from: 'available',
      during: 'snapshotting',
      after: 'available',
      begin: (t) => a().beginSnapshot(t),
      end: (t) => a().failSnapshot({ ...t, reason }),
    },
  ];

  const subject = async (from: Course['from']): Promise<Subject> => {
    const volumeId = await putVolume(registry, { status: from });
    const attachmentId = from === 'in-use' ? await putAttachment(registry, volumeId) : randomUUID();
    return { volumeId, owner: anOwner('operation'), attachmentId, snapshotId: randomUUID() };
  };
  const state = async (t: Subject) => ({
    volume: await volumeOrNull(registry, t.volumeId),
    attachments: await listAttachments(registry, { volumeId: t.volumeId }),
    snapshots: await listSnapshots(registry, { volumeId: t.volumeId }),
  });

  for (const { name, from, during, after, begin, end } of courses) {
    test(`${name}: ${from} → ${during} → ${after ?? 'gone'}; each step may be repeated`, async () => {
      const t = await subject(from);
      await begin(t);
      const begun = await state(t);
      assert.equal(begun.volume?.status, during);
      assert.equal(begun.volume?.operationOwner, t.owner);
      await begin(t);
      assert.deepEqual(await state(t), begun);

      await end(t);
      const ended = await state(t);
      assert.equal(ended.volume?.status ?? null, after);
      assert.equal(ended.volume?.operation ?? null, null);
      await end(t);
      assert.deepEqual(await state(t), ended);
      await assert.rejects(begin(t), (error) =>
        ended.volume ? ferryError('Fenced')(error) : ferryError('VolumeNotFound')(error),
      );
    });

    test(`${name} is ended by its owner only`, async () => {
      const t = await subject(from);
      await assert.rejects(end(t), ferryError('Fenced'));
      await begin(t);
      const begun = await state(t);
      await assert.rejects(end({ ...t, owner: anOwner('operation') }), ferryError('Fenced'));
      assert.deepEqual(await state(t), begun);
    });
  }

  test('create: a row that is creating, then available; each step may be repeated', async () => {
    const wanted = {
      volumeId: randomUUID(),
      owner: anOwner('create'),
      tenantId: 't',
      name: 'n',
      sizeBytes: 2 * gib,
      backEnd: source,
      metadata: { k: 'v' },
    };
    const made = await activities.beginCreate(wanted);
    assert.equal(made.status, 'creating');
    assert.equal(made.availabilityZone, 'zone1');
    assert.deepEqual(made.metadata, { k: 'v' });
    assert.deepEqual(await activities.beginCreate(wanted), made);
    await assert.rejects(activities.beginCreate({ ...wanted, owner: 'another' }), ferryError('InvalidInput'));
    await activities.finishCreate(wanted);
    await activities.finishCreate(wanted);
    assert.equal((await findVolume(registry, wanted.volumeId)).status, 'available');
    await assert.rejects(activities.beginCreate(wanted), ferryError('Fenced'));
    await assert.rejects(activities.failCreate({ ...wanted, reason }), ferryError('Fenced'));
  });

  test('a failed create leaves the volume with status error, and it can be deleted', async () => {
    const wanted = {
      volumeId: randomUUID(),
      owner: anOwner('create'),
      tenantId: 't',
      sizeBytes: 2 * gib,
      backEnd: source,
    };
    await activities.beginCreate(wanted);
    await activities.failCreate({ ...wanted, reason });
    await activities.failCreate({ ...wanted, reason });
    assert.equal((await findVolume(registry, wanted.volumeId)).status, 'error');
    const deletion = { volumeId: wanted.volumeId, owner: anOwner('delete') };
    await activities.beginDelete(deletion);
    await activities.finishDelete(deletion);
    assert.equal(await volumeOrNull(registry, wanted.volumeId), null);
    await assert.rejects(activities.beginCreate(wanted), ferryError('Fenced'));
  });

  test('an attachment tells the guest, the device and the connection', async () => {
    const t = await subject('available');
    const reserved = await activities.beginAttach({ ...t, instanceId: 'vm-1', computeHost: 'hv1' });
    assert.deepEqual([reserved.status, reserved.mode, reserved.attachedAt], ['reserved', 'rw', null]);
    await activities.finishAttach({ ...t, device: 'vdb', connection: { port: 10809 } });
    const attached = await findAttachment(registry, t.attachmentId);
    assert.deepEqual([attached.status, attached.device, attached.connection], ['attached', 'vdb', { port: 10809 }]);
    assert.ok(attached.attachedAt);
  });

  test("a detachment of another volume's attachment is refused, and the volume stays as it was", async () => {
    const [t, other] = [await subject('in-use'), await subject('in-use')];
    const before = await state(t);
    await assert.rejects(
      activities.beginDetach({ ...t, attachmentId: other.attachmentId }),
      ferryError('AttachmentNotFound'),
    );
    await assert.rejects(activities.beginDetach({ ...t, attachmentId: 'nonsense' }), ferryError('AttachmentNotFound'));
    assert.deepEqual(await state(t), before);
  });

  test('a volume that another instance still has stays in use after a detachment', async () => {
    const t = await subject('in-use');
    await putAttachment(registry, t.volumeId, { mode: 'ro' });
    await activities.beginDetach(t);
    await activities.finishDetach(t);
    assert.equal((await findVolume(registry, t.volumeId)).status, 'in-use');
    assert.equal((await listAttachments(registry, { volumeId: t.volumeId })).length, 1);
  });

  test('a snapshot is deleted, or stays with status error_deleting; the volume can migrate only when it is gone', async () => {
    const t = await subject('available');
    await putSnapshot(registry, t.volumeId, { id: t.snapshotId });
    await activities.beginSnapshotDelete(t);
    assert.equal((await findVolume(registry, t.volumeId)).status, 'available');
    assert.equal((await findSnapshot(registry, t.snapshotId)).status, 'deleting');
    await activities.failSnapshotDelete({ ...t, reason });
    assert.equal((await findSnapshot(registry, t.snapshotId)).status, 'error_deleting');
    const again = { ...t, owner: anOwner('delete-snapshot') };
    await activities.beginSnapshotDelete(again);
    await activities.finishSnapshotDelete(again);
    await activities.finishSnapshotDelete(again);
    await assert.rejects(findSnapshot(registry, t.snapshotId), ferryError('SnapshotNotFound'));
    await assert.rejects(activities.beginSnapshotDelete({ ...t, owner: anOwner('x') }), ferryError('SnapshotNotFound'));
    assert.equal((await findVolume(registry, t.volumeId)).operation, null);
  });

  test('an extension to a size that is not larger, or that does not fit, is refused and changes nothing', async () => {
    const t = await subject('available');
    const before = await state(t);
    await assert.rejects(activities.beginExtend({ ...t, sizeBytes: gib }), ferryError('InvalidInput'));
    await assert.rejects(activities.beginExtend({ ...t, sizeBytes: 6000 * gib }), ferryError('InsufficientSpace'));
    assert.deepEqual(await state(t), before);
    await activities.beginExtend({ ...t, sizeBytes: 2 * gib });
    await activities.finishExtend({ ...t, sizeBytes: 2 * gib });
    assert.equal((await findVolume(registry, t.volumeId)).sizeBytes, 2 * gib);
  });

  test('a deletion is refused while the volume is attached or has snapshots, also by force', async () => {
    const attached = await subject('in-use');
    await assert.rejects(activities.beginDelete(attached), ferryError('VolumeStatusRefused'));
    await assert.rejects(activities.beginDelete({ ...attached, force: true }), ferryError('VolumeStatusRefused'));
    const t = await subject('available');
    await putSnapshot(registry, t.volumeId);
    await assert.rejects(activities.beginDelete({ ...t, force: true }), ferryError('VolumeHasSnapshots'));
  });

  test('force deletes what a plain deletion refuses for its status', async () => {
    const t = await subject('available');
    await resetState(registry, { volumeId: t.volumeId, status: 'maintenance' });
    await assert.rejects(activities.beginDelete(t), ferryError('VolumeStatusRefused'));
    await activities.beginDelete({ ...t, force: true });
    await activities.finishDelete(t);
    assert.equal(await volumeOrNull(registry, t.volumeId), null);
  });

  test("another tenant's volume is not there, for reads and for operations", async () => {
    const t = { ...(await subject('in-use')), tenantId: 'tenant-2' };
    await assert.rejects(findVolume(registry, t.volumeId, t), ferryError('VolumeNotFound'));
    await assert.rejects(activities.findVolume(t), ferryError('VolumeNotFound'));
    await assert.rejects(activities.beginDelete(t), ferryError('VolumeNotFound'));
    await assert.rejects(activities.beginDetach(t), ferryError('VolumeNotFound'));
    await assert.rejects(findAttachment(registry, t.attachmentId, t), ferryError('AttachmentNotFound'));
    assert.deepEqual(await listVolumes(registry, { tenantId: 'tenant-2' }), []);
    await assert.rejects(resetState(registry, { ...t, status: 'error' }), ferryError('VolumeNotFound'));
    assert.equal((await findVolume(registry, t.volumeId, { tenantId: 'tenant-1' })).id, t.volumeId);
  });

  test('lists by host, name and status, page by page, newest first', async () => {
    const name = randomUUID();
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) ids.push(await putVolume(registry, { name }));
    const seen: string[] = [];
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const page = await listVolumes(registry, {
        name,
        host: source,
        status: 'available',
        busy: false,
        limit: 2,
        after,
      });
      if (page.length === 0) break;
      seen.push(...page.map((v) => v.id));
    }
    assert.deepEqual(seen, ids.toReversed());
  });

  test("a reset frees a dead operation's volume only by that owner's name, and fences that owner", async () => {
    const t = await subject('available');
    await activities.beginAttach({ ...t, instanceId: 'vm', computeHost: 'hv1' });
    await assert.rejects(resetState(registry, { volumeId: t.volumeId, status: 'error' }), ferryError('VolumeBusy'));
    await assert.rejects(
      resetState(registry, { volumeId: t.volumeId, status: 'error', abandon: 'another' }),
      ferryError('VolumeBusy'),
    );
    await assert.rejects(
      resetState(registry, { volumeId: t.volumeId, status: 'available', abandon: t.owner }),
      ferryError('VolumeStatusRefused'),
    );
    const reset = await resetState(registry, {
      volumeId: t.volumeId,
      status: 'available',
      abandon: t.owner,
      detached: [t.attachmentId],
    });
    assert.deepEqual([reset.status, reset.operation], ['available', null]);
    await assert.rejects(activities.finishAttach({ ...t, device: 'vda' }), ferryError('Fenced'));
    await assert.rejects(beginAttach(t), ferryError('Fenced'));
    assert.deepEqual((await state(t)).attachments, []);
  });
});
