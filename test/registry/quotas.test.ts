import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { FerryError } from '../../model/errors.ts';
import { gib } from '../../model/sizes.ts';
import { quotaUsage } from '../../model/quota.ts';
import { beginManage } from '../../registry/adoption.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, failCreate, finishCreate } from '../../registry/creation.ts';
import { beginExtend } from '../../registry/extension.ts';
import { releaseVolume } from '../../registry/migration-steps.ts';
import { finishOperation } from '../../registry/operations.ts';
import { deleteQuotas, quotaLimits, setQuotas, tenantUse } from '../../registry/quotas.ts';
import { retypeInPlace } from '../../registry/retype.ts';
import { beginSnapshot, finishSnapshot } from '../../registry/snapshots.ts';
import { acceptTransfer, createTransfer } from '../../registry/transfers.ts';
import { changeVolumeType, createVolumeType } from '../../registry/volume-types.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putBackEnd,
  putSnapshot,
  putVolume,
  source,
} from './world.ts';

const over = ferryError('QuotaExceeded');

describe('quotas', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 20 });
    for (const name of [source, destination]) await putBackEnd(registry, name, { freeBytes: 100_000 * gib });
  });

  /** A tenant with these limits. */
  async function tenant(limits: Record<string, number>): Promise<string> {
    const id = randomUUID();
    await setQuotas(registry, id, limits);
    return id;
  }
  const create = (
    tenantId: string,
    sizeGib = 1,
    more: { volumeType?: string; owner?: string; volumeId?: string } = {},
  ) =>
    beginCreate(registry, {
      volumeId: randomUUID(),
      owner: anOwner('create'),
      tenantId,
      sizeBytes: sizeGib * gib,
      backEnd: source,
      ...more,
    });
  const snapshot = (volumeId: string) =>
    beginSnapshot(registry, { volumeId, snapshotId: randomUUID(), owner: anOwner('snapshot') });
  const extend = (volumeId: string, sizeGib: number, owner = anOwner('extend')) =>
    beginExtend(registry, { volumeId, owner, sizeBytes: sizeGib * gib });
  const type = async () => {
    const name = `type-${randomUUID()}`;
    await createVolumeType(registry, { name, description: null, extraSpecs: {} });
    return name;
  };
  const usage = async (tenantId: string, types: string[] = []) =>
    quotaUsage(await quotaLimits(registry, tenantId), await tenantUse(registry, tenantId), types);

  test('limit how many volumes a tenant has, and how large they are together and each', async () => {
    const few = await tenant({ volumes: 1 });
    await create(few);
    await assert.rejects(create(few), (error: FerryError) => {
      assert.equal(error.message, "Maximum number of volumes allowed (1) exceeded for quota 'volumes'.");
      assert.deepEqual(error.details, { tenantId: few, resource: 'volumes', limit: 1, used: 1, requested: 1 });
      return over(error);
    });
    const small = await tenant({ gigabytes: 3 });
    await create(small, 2);
    await assert.rejects(create(small, 2), over);
    await create(small, 1);
    await assert.rejects(create(await tenant({ per_volume_gigabytes: 2 }), 3), over);
    await create(await tenant({ volumes: -1, gigabytes: -1, per_volume_gigabytes: -1 }), 3);
    await assert.rejects(create(await tenant({ volumes: 0 })), over);
  });

  test('of one tenant are no other tenant’s', async () => {
    await create(await tenant({ volumes: 1 }));
    await create(await tenant({ volumes: 1 }));
  });

  test('are for all tenants that have none of their own', async () => {
    const own = await tenant({ volumes: 2 });
    const other = randomUUID();
    await setQuotas(registry, null, { volumes: 1 });
    try {
      await create(own);
      await create(own);
      await create(other);
      await assert.rejects(create(other), over);
      await deleteQuotas(registry, own);
      await assert.rejects(create(own), over);
    } finally {
      await setQuotas(registry, null, { volumes: -1 });
    }
    await create(other);
  });

  test('count what could not be made, until it is deleted, as Cinder does', async () => {
    const one = await tenant({ volumes: 1 });
    const made = await create(one);
    const reason = { type: 'ToolFailed' as const, message: 'no' };
    await failCreate(registry, { volumeId: made.id, owner: made.operationOwner!, reason });
    await assert.rejects(create(one), over);
  });

  test('are not asked again by a repeat of what was begun', async () => {
    const one = await tenant({ volumes: 1, gigabytes: 2, snapshots: 1 });
    const owner = anOwner('create');
    const volumeId = randomUUID();
    await create(one, 1, { owner, volumeId });
    await create(one, 1, { owner, volumeId });
    await finishCreate(registry, { owner, volumeId });
    const extending = anOwner('extend');
    await extend(volumeId, 2, extending);
    await setQuotas(registry, one, { gigabytes: 1 });
    await extend(volumeId, 2, extending);
    await finishOperation(registry, 'extend', { volumeId, owner: extending }, { sizeBytes: 2 * gib });
    await setQuotas(registry, one, { gigabytes: 4 });
    const ticket = { volumeId, snapshotId: randomUUID(), owner: anOwner('snapshot') };
    await beginSnapshot(registry, ticket);
    await setQuotas(registry, one, { snapshots: 0 });
    await beginSnapshot(registry, ticket);
  });

  test('hold while an extension is under way, and let go of what did not come of it', async () => {
    const t = await tenant({ gigabytes: 5 });
    const volumeId = await putVolume(registry, { tenant_id: t });
    await assert.rejects(extend(volumeId, 6), over);
    const owner = anOwner('extend');
    await extend(volumeId, 4, owner);
    assert.deepEqual((await usage(t))['gigabytes'], { limit: 5, inUse: 1, reserved: 3 });
    await assert.rejects(create(t, 2), over);
    await finishOperation(registry, 'extend', { volumeId, owner }, {});
    await create(t, 2);
    assert.deepEqual((await usage(t))['gigabytes'], { limit: 5, inUse: 3, reserved: 0 });
  });

  test('limit snapshots, whose bytes count', async () => {
    const t = await tenant({ snapshots: 1, gigabytes: 5 });
    const volumeId = await putVolume(registry, { tenant_id: t, size_bytes: 2 * gib });
    const { id } = await snapshot(volumeId);
    await finishSnapshot(registry, { volumeId, snapshotId: id, owner: (await volumeOwner(volumeId))! });
    await assert.rejects(snapshot(volumeId), /Maximum number of snapshots allowed \(1\)/);
    await assert.rejects(create(t, 2), over);
    assert.equal((await usage(t))['gigabytes']?.inUse, 4);
    await setQuotas(registry, t, { snapshots: 9 });
    await assert.rejects(snapshot(volumeId), /Requested 2 GiB, quota is 5 GiB and 4 GiB has been consumed/);
  });
  const volumeOwner = async (id: string) => {
    const { findVolume } = await import('../../registry/volumes.ts');
    return (await findVolume(registry, id)).operationOwner;
  };

  test('hold for devices that are adopted', async () => {
    const t = await tenant({ volumes: 0 });
    const adopted = { volumeId: randomUUID(), owner: anOwner('manage'), tenantId: t, sizeBytes: gib, backEnd: source };
    await assert.rejects(beginManage(registry, adopted), over);
  });

  test('of a type count its volumes, their snapshots, and those on their way to it', async () => {
    const [old, fast] = [await type(), await type()];
    const t = await tenant({ [`volumes_${fast}`]: 2, [`gigabytes_${fast}`]: 5, [`snapshots_${fast}`]: 1 });
    await create(t, 1, { volumeType: fast });
    const moving = await putVolume(registry, { tenant_id: t, volume_type: old });
    const claimed = await claimVolume(registry, claimArguments(moving, { newType: fast }));
    assert.deepEqual((await usage(t, [fast]))[`volumes_${fast}`], { limit: 2, inUse: 1, reserved: 1 });
    await assert.rejects(create(t, 1, { volumeType: fast }), over);
    const second = await putVolume(registry, { tenant_id: t, volume_type: old });
    const retype = { volumeId: second, owner: anOwner('retype'), volumeType: fast };
    await assert.rejects(retypeInPlace(registry, retype), over);
    await assert.rejects(claimVolume(registry, claimArguments(second, { newType: fast })), over);
    // It was not claimed, then.
    await claimVolume(registry, claimArguments(second));
    await releaseVolume(registry, claimed.claim, { outcome: 'cancelled' });
    const third = await putVolume(registry, { tenant_id: t, volume_type: old });
    await putSnapshot(registry, third, { tenant_id: t });
    await putSnapshot(registry, third, { tenant_id: t });
    await assert.rejects(retypeInPlace(registry, { ...retype, volumeId: third }), over);
    await setQuotas(registry, t, { [`snapshots_${fast}`]: 2 });
    await retypeInPlace(registry, { ...retype, volumeId: third });
    assert.deepEqual((await usage(t, [fast]))[`gigabytes_${fast}`], { limit: 5, inUse: 4, reserved: 0 });
  });

  test('follow a type that is renamed', async () => {
    const fast = await type();
    const t = await tenant({ [`volumes_${fast}`]: 1 });
    await create(t, 1, { volumeType: fast });
    await changeVolumeType(registry, fast, { name: `${fast}-2` });
    await assert.rejects(create(t, 1, { volumeType: `${fast}-2` }), over);
    const named = Object.keys(await quotaLimits(registry, t)).filter((name) => name.includes(fast));
    assert.deepEqual(named, [`volumes_${fast}-2`]);
  });

  test('are never exceeded, however many want more at once', async () => {
    const t = await tenant({ volumes: 3, gigabytes: 10 });
    const all = await Promise.allSettled(Array.from({ length: 16 }, () => create(t, 2)));
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 3);
    for (const each of all) if (each.status === 'rejected') over(each.reason);
  });

  test('are never exceeded by any interleaving of creates, extensions, snapshots, transfers and ends', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('create' as const), gib: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('extend' as const), gib: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('snapshot' as const) }),
      fc.record({ do: fc.constant('take' as const), gib: fc.integer({ min: 1, max: 3 }) }),
    );
    const limits = { volumes: 4, snapshots: 2, gigabytes: 8 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 14 }), async (steps) => {
        const t = await tenant(limits);
        const mine = await Promise.all([1, 2].map(() => putVolume(registry, { tenant_id: t })));
        const anyOf = (i: number) => mine[i % mine.length]!;
        const key = { keySalt: 's', keyHash: 'h' };
        const done = await Promise.allSettled(
          steps.map(async (s, i) => {
            if (s.do === 'create') return create(t, s.gib);
            if (s.do === 'snapshot') {
              const owner = anOwner('snapshot');
              const made = await beginSnapshot(registry, { volumeId: anyOf(i), snapshotId: randomUUID(), owner });
              return finishSnapshot(registry, { volumeId: anyOf(i), snapshotId: made.id, owner });
            }
            if (s.do === 'extend') {
              const owner = anOwner('extend');
              const to = (1 + s.gib) * gib;
              await beginExtend(registry, { volumeId: anyOf(i), owner, sizeBytes: to });
              return finishOperation(registry, 'extend', { volumeId: anyOf(i), owner }, { sizeBytes: to });
            }
            const volumeId = await putVolume(registry, { tenant_id: 'giver', size_bytes: s.gib * gib });
            const id = randomUUID();
            await createTransfer(registry, { id, volumeId, name: null, noSnapshots: false, ...key });
            return acceptTransfer(registry, { id, tenantId: t, userId: null, opens: () => true });
          }),
        );
        const { total } = await tenantUse(registry, t);
        assert.ok(total.volumes <= limits.volumes, `${total.volumes} volumes`);
        assert.ok(total.snapshots <= limits.snapshots, `${total.snapshots} snapshots`);
        assert.ok(total.bytes <= limits.gigabytes * gib, `${total.bytes} bytes`);
        assert.equal(total.reservedBytes, 0);
        for (const each of done)
          if (each.status === 'rejected') assert.ok(each.reason instanceof FerryError, String(each.reason));
      }),
      { numRuns: 25 },
    );
  });
});
