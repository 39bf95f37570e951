import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { shownStatus, statusOf } from '../../model/volume.ts';
import { shownSnapshotStatus, snapshotStatusOf } from '../../model/snapshot.ts';
import { beginAttach, beginDetach, failAttach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginDelete, failDelete, finishDelete } from '../../registry/creation.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { beginOperation, finishOperation } from '../../registry/operations.ts';
import { beginDetaching, reserve, rollDetaching, setReadOnly, unreserve } from '../../registry/reservations.ts';
import { resetState } from '../../registry/reset-state.ts';
import { resetSnapshot } from '../../registry/snapshot-words.ts';
import { beginSnapshotDelete, findSnapshot, listSnapshots } from '../../registry/snapshots.ts';
import { findVolume, listVolumes } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putAttachment,
  putBackEnd,
  putSnapshot,
  putVolume,
  source,
} from './world.ts';

const refused = ferryError('VolumeStatusRefused');

describe('a status that is only shown', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 10 });
    for (const name of [source, destination]) await putBackEnd(registry, name);
  });
  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });
  const shown = async (id: string) => statusOf(await findVolume(registry, id));
  const attach = (volumeId: string, mode: 'rw' | 'ro' = 'rw') => ({
    ...ticket(volumeId),
    attachmentId: randomUUID(),
    instanceId: randomUUID(),
    computeHost: 'hv1',
    mode,
  });

  const resting = new Set(['available', 'in-use', 'error', 'error_deleting', 'error_extending', 'maintenance']);

  for (const status of shownStatus.options) {
    test(`${status} is what an administrator may set, and only a forced delete begins from what is not so`, async () => {
      const volumeId = await putVolume(registry);
      const reset = await resetState(registry, { volumeId, status });
      assert.equal(statusOf(reset), status);
      assert.equal(reset.status, resting.has(status) ? status : 'available');
      assert.equal(await shown(volumeId), status);
      assert.deepEqual(
        (await listVolumes(registry, { status })).map(({ id }) => id),
        [volumeId],
      );
      if (!resting.has(status)) {
        const t = ticket(volumeId);
        await assert.rejects(beginDelete(registry, t), refused);
        await assert.rejects(beginOperation(registry, 'snapshot', { ...t, force: true }), refused);
        await assert.rejects(claimVolume(registry, claimArguments(volumeId)), refused);
        const { reasons } = await planMigration(registry, claimArguments(volumeId).request);
        assert.deepEqual(
          reasons.map(({ type }) => type),
          ['VolumeStatusRefused'],
        );
      }
      const t = ticket(volumeId);
      const deleting = await beginDelete(registry, { ...t, force: true });
      assert.deepEqual([deleting.status, deleting.shownStatus], ['deleting', null]);
      await finishDelete(registry, t);
    });
  }

  test('goes back to what is true by another reset', async () => {
    const volumeId = await putVolume(registry);
    await resetState(registry, { volumeId, status: 'uploading' });
    assert.deepEqual([(await resetState(registry, { volumeId, status: 'available' })).shownStatus], [null]);
    await claimVolume(registry, claimArguments(volumeId));
    await assert.rejects(resetState(registry, { volumeId, status: 'creating' }), ferryError('VolumeMigrating'));
  });

  test('is never that of a volume on which something is under way', async () => {
    const volumeId = await putVolume(registry);
    await beginOperation(registry, 'extend', ticket(volumeId));
    await assert.rejects(resetState(registry, { volumeId, status: 'creating' }), ferryError('VolumeBusy'));
  });

  test('keeps a reserved volume for an attachment', async () => {
    const volumeId = await putVolume(registry);
    await reserve(registry, { volumeId });
    assert.equal(await shown(volumeId), 'attaching');
    await assert.rejects(reserve(registry, { volumeId }), refused);
    await assert.rejects(beginDelete(registry, ticket(volumeId)), refused);
    await assert.rejects(claimVolume(registry, claimArguments(volumeId)), refused);
    await unreserve(registry, { volumeId });
    await unreserve(registry, { volumeId });
    assert.equal(await shown(volumeId), 'available');
    await reserve(registry, { volumeId });
    const t = attach(volumeId);
    await beginAttach(registry, t);
    assert.equal(await shown(volumeId), 'attaching');
    await assert.rejects(unreserve(registry, { volumeId }), ferryError('VolumeBusy'));
    await failAttach(registry, { ...t, reason: { type: 'ToolFailed', message: 'no' } });
    assert.equal(await shown(volumeId), 'reserved');
  });

  test('has one holder, whoever reserves at the same time', async () => {
    const volumeId = await putVolume(registry);
    const all = await Promise.allSettled(Array.from({ length: 6 }, () => reserve(registry, { volumeId })));
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  test('keeps an attached volume for a detach', async () => {
    const available = await putVolume(registry);
    await assert.rejects(beginDetaching(registry, { volumeId: available }), refused);
    await rollDetaching(registry, { volumeId: available });
    const volumeId = await putVolume(registry, { status: 'in-use' });
    await assert.rejects(beginDetaching(registry, { volumeId }), refused);
    const attachmentId = await putAttachment(registry, volumeId);
    await beginDetaching(registry, { volumeId });
    assert.equal(await shown(volumeId), 'detaching');
    await assert.rejects(claimVolume(registry, claimArguments(volumeId)), refused);
    await assert.rejects(beginDetaching(registry, { volumeId }), refused);
    await rollDetaching(registry, { volumeId });
    await rollDetaching(registry, { volumeId });
    assert.equal(await shown(volumeId), 'in-use');
    await beginDetaching(registry, { volumeId });
    await beginDetach(registry, { ...ticket(volumeId), attachmentId });
    assert.equal(await shown(volumeId), 'detaching');
    await assert.rejects(rollDetaching(registry, { volumeId }), ferryError('VolumeBusy'));
  });

  test('is set by nobody of another tenant', async () => {
    const volumeId = await putVolume(registry);
    const of = { volumeId, tenantId: 'other' };
    for (const act of [reserve, unreserve, beginDetaching, rollDetaching])
      await assert.rejects(act(registry, of), ferryError('VolumeNotFound'));
    await assert.rejects(setReadOnly(registry, { ...of, readOnly: true }), ferryError('VolumeNotFound'));
  });

  test('a volume that may only be read is not attached for writing', async () => {
    const volumeId = await putVolume(registry);
    await setReadOnly(registry, { volumeId, readOnly: true });
    await assert.rejects(beginAttach(registry, attach(volumeId)), refused);
    const reading = attach(volumeId, 'ro');
    await beginAttach(registry, reading);
    await assert.rejects(setReadOnly(registry, { volumeId, readOnly: false }), ferryError('VolumeBusy'));
    await failAttach(registry, { ...reading, reason: { type: 'ToolFailed', message: 'no' } });
    await setReadOnly(registry, { volumeId, readOnly: false });
    await beginAttach(registry, attach(volumeId));
  });

  for (const status of shownSnapshotStatus.options) {
    test(`${status} is what an administrator may set of a snapshot`, async () => {
      const volumeId = await putVolume(registry);
      const snapshotId = await putSnapshot(registry, volumeId);
      const reset = await resetSnapshot(registry, { snapshotId, status });
      assert.equal(snapshotStatusOf(reset), status);
      assert.deepEqual(
        (await listSnapshots(registry, { status, volumeId })).map(({ id }) => id),
        [snapshotId],
      );
      const t = { ...ticket(volumeId), snapshotId };
      if (!['available', 'error', 'error_deleting'].includes(status))
        await assert.rejects(beginSnapshotDelete(registry, t), refused);
      const deleting = await beginSnapshotDelete(registry, { ...t, force: true });
      assert.deepEqual([deleting.status, deleting.shownStatus], ['deleting', null]);
      await assert.rejects(resetSnapshot(registry, { snapshotId, status: 'error' }), ferryError('VolumeBusy'));
    });
  }

  test('of a snapshot is set from the statuses that are given, with how far it is', async () => {
    const snapshotId = await putSnapshot(registry, await putVolume(registry));
    const told = { snapshotId, status: 'error' as const, from: ['creating' as const], progress: '80%' };
    await assert.rejects(resetSnapshot(registry, told), refused);
    await resetSnapshot(registry, { snapshotId, status: 'creating' });
    const changed = await resetSnapshot(registry, told);
    assert.deepEqual([changed.status, changed.shownStatus, changed.progress], ['error', null, '80%']);
    const of = { snapshotId, status: 'error' as const, tenantId: 'other' };
    await assert.rejects(resetSnapshot(registry, of), ferryError('SnapshotNotFound'));
  });

  test('snapshots go with their volume where that is asked for', async () => {
    const volumeId = await putVolume(registry);
    const ids = [await putSnapshot(registry, volumeId), await putSnapshot(registry, volumeId)];
    await assert.rejects(beginDelete(registry, ticket(volumeId)), ferryError('VolumeHasSnapshots'));
    const failing = ticket(volumeId);
    const begun = await beginDelete(registry, { ...failing, cascade: true });
    assert.deepEqual(begun.snapshotIds.toSorted(), ids.toSorted());
    assert.deepEqual(await beginDelete(registry, { ...failing, cascade: true }), begun);
    await failDelete(registry, { ...failing, reason: { type: 'ToolFailed', message: 'no' } });
    assert.equal(await shown(volumeId), 'error_deleting');
    assert.equal((await findSnapshot(registry, ids[0]!)).status, 'error_deleting');
    const t = ticket(volumeId);
    await beginDelete(registry, { ...t, cascade: true });
    await finishDelete(registry, t);
    await finishDelete(registry, t);
    await assert.rejects(findVolume(registry, volumeId), ferryError('VolumeNotFound'));
    for (const id of ids) await assert.rejects(findSnapshot(registry, id), ferryError('SnapshotNotFound'));
  });

  test('an attached volume does not go with its snapshots', async () => {
    const volumeId = await putVolume(registry, { status: 'error' });
    await putAttachment(registry, volumeId);
    const snapshotId = await putSnapshot(registry, volumeId);
    const t = { ...ticket(volumeId), cascade: true };
    await assert.rejects(beginDelete(registry, t), /is attached/);
    await assert.rejects(beginDelete(registry, { ...t, force: true }), /is attached/);
    assert.equal((await findSnapshot(registry, snapshotId)).status, 'available');
    await beginOperation(registry, 'retype', { ...ticket(await putVolume(registry)) });
  });

  test('what is shown is over when the next operation begins, and does not come back', async () => {
    const volumeId = await putVolume(registry);
    await resetState(registry, { volumeId, status: 'detaching' });
    const t = ticket(volumeId);
    await beginOperation(registry, 'detach', t);
    await finishOperation(registry, 'detach', t);
    assert.equal(await shown(volumeId), 'available');
  });
});
