import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { snapshotStatusOf } from '../../model/snapshot.ts';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, beginDelete, failCreate, finishCreate } from '../../registry/creation.ts';
import { failHeldOperation } from '../../registry/held-operations.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { beginOperation, finishOperation } from '../../registry/operations.ts';
import type { OperationOnVolume } from '../../registry/operation-rules.ts';
import { findOrigin } from '../../registry/origins.ts';
import { beginRevert, failRevert, finishRevert } from '../../registry/reverting.ts';
import {
  beginSnapshotManage,
  beginSnapshotUnmanage,
  failSnapshotManage,
  finishSnapshotManage,
  finishSnapshotUnmanage,
} from '../../registry/snapshot-adoption.ts';
import { beginSnapshotDelete, findSnapshot } from '../../registry/snapshots.ts';
import { findVolume } from '../../registry/volumes.ts';
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

const reason = { type: 'ToolFailed', message: 'cp failed' } as const;

describe('a volume that is made from another', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    // By its room alone a new volume would go to the destination.
    await putBackEnd(registry, source, { freeBytes: 50 * gib });
    await putBackEnd(registry, destination);
  });

  const wanted = (from: { snapshotId?: string; sourceVolumeId?: string }, sizeBytes = gib) => {
    const volumeId = randomUUID();
    return { volumeId, owner: anOwner(`create-${volumeId}`), tenantId: 'tenant-1', sizeBytes, backEnd: null, ...from };
  };
  const begin = async (from: { snapshotId?: string; sourceVolumeId?: string }, sizeBytes?: number) => {
    const copy = wanted(from, sizeBytes);
    await beginCreate(registry, copy);
    return copy;
  };
  const operation = (volumeId: string, what: OperationOnVolume) =>
    beginOperation(registry, what, { volumeId, owner: anOwner(what) });
  const changing = ['delete', 'extend', 'attach', 'snapshot', 'unmanage'] as const;

  test('holds it from its beginning to its end, and others may be made from it meanwhile', async () => {
    const id = await putVolume(registry);
    const [first, second] = [await begin({ sourceVolumeId: id }), await begin({ sourceVolumeId: id }, 2 * gib)];
    const origin = await findOrigin(registry, first.volumeId);
    assert.deepEqual(
      [origin.kind, origin.backEnd, origin.deviceName, origin.sizeBytes],
      ['volume', source, `volume-${id}`, gib],
    );
    for (const copy of [first, second]) {
      for (const what of changing) await assert.rejects(operation(id, what), ferryError('VolumeBusy'), what);
      const claim = claimArguments(id);
      await assert.rejects(claimVolume(registry, claim), ferryError('VolumeBusy'));
      const { reasons } = await planMigration(registry, claim.request);
      assert.match(reasons.map(({ message }) => message).join(), new RegExp(`volume ${copy.volumeId}|is being copied`));
      if (copy === first) await finishCreate(registry, first);
      else await failCreate(registry, { ...second, reason });
    }
    const owner = anOwner('extend');
    await beginOperation(registry, 'extend', { volumeId: id, owner });
    await finishOperation(registry, 'extend', { volumeId: id, owner });
    await claimVolume(registry, claimArguments(id));
  });

  test('is not begun while something else has what it would be made from', async () => {
    const rejected = async (id: string, type: Parameters<typeof ferryError>[0]) =>
      assert.rejects(begin({ sourceVolumeId: id }), ferryError(type));
    const busy = await putVolume(registry);
    await operation(busy, 'extend');
    await rejected(busy, 'VolumeBusy');
    const moving = await putVolume(registry);
    await claimVolume(registry, claimArguments(moving));
    await rejected(moving, 'VolumeMigrating');
    const attached = await putVolume(registry, { status: 'in-use' });
    await putAttachment(registry, attached);
    await rejected(attached, 'VolumeStatusRefused');
    await rejected(randomUUID(), 'VolumeNotFound');
    const large = await putVolume(registry, { size_bytes: 2 * gib });
    await rejected(large, 'InvalidInput');
    const snapshot = await putSnapshot(registry, large);
    const both = { sourceVolumeId: large, snapshotId: snapshot };
    await assert.rejects(begin(both, 2 * gib), ferryError('InvalidInput'));
    const being = await putSnapshot(registry, large, { status: 'deleting' });
    await assert.rejects(begin({ snapshotId: being }, 2 * gib), ferryError('VolumeStatusRefused'));
    await assert.rejects(begin({ snapshotId: randomUUID() }), ferryError('SnapshotNotFound'));
  });

  test('from a snapshot holds that, and nothing but that', async () => {
    const id = await putVolume(registry);
    const [held, other] = [await putSnapshot(registry, id), await putSnapshot(registry, id)];
    const copy = await begin({ snapshotId: held });
    const remove = (snapshotId: string) =>
      beginSnapshotDelete(registry, { volumeId: id, snapshotId, owner: anOwner('delete-snapshot') });
    await assert.rejects(remove(held), ferryError('VolumeBusy'));
    await assert.rejects(
      beginDelete(registry, { volumeId: id, owner: anOwner('delete'), cascade: true, force: true }),
      ferryError('VolumeBusy'),
    );
    await remove(other);
    await assert.rejects(operation(id, 'attach'), ferryError('VolumeBusy'), 'a delete of its snapshot is under way');
    await failHeldOperation(registry, { ...copy, operation: 'create' }, reason);
  });

  test('of one that is attached meanwhile: only the snapshot is held', async () => {
    const id = await putVolume(registry);
    await begin({ snapshotId: await putSnapshot(registry, id) });
    await operation(id, 'attach');
  });

  test('a beginning and a change of the source at once: one of them is refused, never none', async () => {
    for (let round = 0; round < 20; round += 1) {
      const id = await putVolume(registry);
      const what = changing[round % changing.length]!;
      const ends = await Promise.allSettled([operation(id, what), begin({ sourceVolumeId: id })]);
      assert.deepEqual(ends.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'], what);
    }
  });

  test('goes where what it is made from is, if it may', async () => {
    const id = await putVolume(registry);
    const { volumeId } = await begin({ sourceVolumeId: id });
    const host = async (of: string) => (await findVolume(registry, of)).host;
    assert.equal(await host(volumeId), source);
    const large = await begin({ sourceVolumeId: id }, 60 * gib);
    assert.equal(await host(large.volumeId), destination);
  });

  describe('that goes back to its last snapshot', () => {
    const shown = async (id: string) => snapshotStatusOf(await findSnapshot(registry, id));
    const revert = (volumeId: string, snapshotId: string) => {
      const ticket = { volumeId, snapshotId, owner: anOwner('revert') };
      return { ticket, begun: beginRevert(registry, ticket) };
    };

    test('shows it, and holds the snapshot until it is whole, also when that fails', async () => {
      const id = await putVolume(registry);
      const snapshot = await putSnapshot(registry, id);
      const { ticket, begun } = revert(id, snapshot);
      const { volume, origin } = await begun;
      assert.deepEqual([volume.status, await shown(snapshot)], ['reverting', 'restoring']);
      assert.deepEqual([origin.kind, origin.snapshotId], ['snapshot', snapshot]);
      assert.deepEqual((await beginRevert(registry, ticket)).origin, origin, 'again');
      await assert.rejects(begin({ snapshotId: snapshot }), ferryError('VolumeStatusRefused'));
      await failHeldOperation(registry, { ...ticket, operation: 'revert' }, reason);
      assert.deepEqual([(await findVolume(registry, id)).status, await shown(snapshot)], ['error', 'restoring']);
      const remove = { volumeId: id, snapshotId: snapshot, owner: anOwner('delete-snapshot') };
      await assert.rejects(beginSnapshotDelete(registry, remove), ferryError('VolumeStatusRefused'));
      const again = revert(id, snapshot);
      await again.begun;
      await finishRevert(registry, again.ticket);
      assert.deepEqual([(await findVolume(registry, id)).status, await shown(snapshot)], ['available', 'available']);
      await beginSnapshotDelete(registry, remove);
    });

    test('is as before when its device was not touched', async () => {
      const id = await putVolume(registry);
      const snapshot = await putSnapshot(registry, id);
      const { ticket, begun } = revert(id, snapshot);
      await begun;
      await failRevert(registry, { ...ticket, reason, untouched: true });
      assert.deepEqual([(await findVolume(registry, id)).status, await shown(snapshot)], ['available', 'available']);
    });

    test('is refused where it could not be whole again', async () => {
      const rejected = async (type: Parameters<typeof ferryError>[0], id: string, snapshot: string) => {
        const was = await findVolume(registry, id);
        await assert.rejects(revert(id, snapshot).begun, ferryError(type));
        assert.deepEqual(await findVolume(registry, id), was);
      };
      const id = await putVolume(registry);
      const early = await putSnapshot(registry, id, { created_at: new Date(0) });
      const late = await putSnapshot(registry, id);
      await rejected('InvalidInput', id, early);
      await rejected('SnapshotNotFound', id, randomUUID());
      await putAttachment(registry, id, { status: 'reserved', attached_at: null });
      await rejected('VolumeStatusRefused', id, late);
      const extended = await putVolume(registry, { size_bytes: 2 * gib });
      await rejected('SizeMismatch', extended, await putSnapshot(registry, extended));
      const half = await putVolume(registry);
      await rejected('VolumeStatusRefused', half, await putSnapshot(registry, half, { status: 'error' }));
      const copied = await putVolume(registry);
      const whole = await putSnapshot(registry, copied);
      await begin({ sourceVolumeId: copied });
      await rejected('VolumeBusy', copied, whole);
    });
  });

  describe('of which a snapshot is managed', () => {
    const manage = async (volumeId: string) => {
      const ticket = { volumeId, snapshotId: randomUUID(), owner: anOwner('manage-snapshot') };
      await beginSnapshotManage(registry, { ...ticket, name: 'found', metadata: { key: 'value' } });
      return ticket;
    };
    const find = (id: string) => findSnapshot(registry, id);

    test('has it when the device is its own, and not when that fails or is given up', async () => {
      const id = await putVolume(registry);
      const done = await manage(id);
      assert.equal((await find(done.snapshotId)).status, 'creating');
      await finishSnapshotManage(registry, done);
      const { status, name, sizeBytes, metadata } = await find(done.snapshotId);
      assert.deepEqual([status, name, sizeBytes, metadata], ['available', 'found', gib, { key: 'value' }]);
      const failed = await manage(id);
      await failSnapshotManage(registry, { ...failed, reason });
      const abandoned = await manage(id);
      await failHeldOperation(registry, { ...abandoned, operation: 'manage-snapshot' }, reason);
      for (const { snapshotId } of [failed, abandoned])
        await assert.rejects(find(snapshotId), ferryError('SnapshotNotFound'));
      assert.equal((await findVolume(registry, id)).status, 'available');
    });

    test('loses it when it is unmanaged, but not while a volume is made from it', async () => {
      const id = await putVolume(registry);
      const ticket = async (row = {}) => ({
        volumeId: id,
        snapshotId: await putSnapshot(registry, id, row),
        owner: anOwner('unmanage-snapshot'),
      });
      const [done, failed, copied] = [await ticket(), await ticket(), await ticket()];
      await beginSnapshotUnmanage(registry, done);
      await finishSnapshotUnmanage(registry, done);
      await assert.rejects(find(done.snapshotId), ferryError('SnapshotNotFound'));
      await beginSnapshotUnmanage(registry, failed);
      await failHeldOperation(registry, { ...failed, operation: 'unmanage-snapshot' }, reason);
      assert.equal((await find(failed.snapshotId)).status, 'error');
      await begin({ snapshotId: copied.snapshotId });
      await assert.rejects(beginSnapshotUnmanage(registry, copied), ferryError('VolumeBusy'));
      const half = await ticket({ status: 'error' });
      await assert.rejects(beginSnapshotUnmanage(registry, half), ferryError('VolumeStatusRefused'));
    });
  });
});
