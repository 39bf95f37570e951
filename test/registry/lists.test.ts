import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { gib } from '../../model/sizes.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Volume } from '../../model/volume.ts';
import { changeSnapshotMetadata, describeSnapshot } from '../../registry/snapshot-words.ts';
import { countSnapshots, findSnapshot, listSnapshots } from '../../registry/snapshots.ts';
import { addTypeAccess, listTypeAccess, mustSeeType, removeTypeAccess } from '../../registry/volume-type-access.ts';
import {
  changeVolumeType,
  createVolumeType,
  deleteVolumeType,
  findVolumeType,
  listVolumeTypes,
} from '../../registry/volume-types.ts';
import { countVolumes, findVolume, listVolumes } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { ferryError, putBackEnd, putSnapshot, putVolume, source } from './world.ts';

describe('lists', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
  });

  const names = ['b', 'a', 'B', null, 'ä', 'a'];
  const at = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, n));

  /** Six volumes of a new tenant. */
  async function six(): Promise<string> {
    const tenant = randomUUID();
    for (const [i, name] of names.entries())
      await putVolume(registry, {
        tenant_id: tenant,
        name,
        size_bytes: (1 + (i % 3)) * gib,
        status: i % 2 === 0 ? 'available' : 'error',
        bootable: i < 2,
        metadata: i < 3 ? { k: 'v', n: String(i) } : {},
        created_at: at(i % 4),
      });
    return tenant;
  }

  const keys = {
    id: (v: Volume) => v.id,
    name: (v: Volume) => v.name ?? '',
    size: (v: Volume) => v.sizeBytes,
    status: (v: Volume) => v.status,
    createdAt: (v: Volume) => v.createdAt.getTime(),
    bootable: (v: Volume) => Number(v.bootable),
  };
  const compare = (a: string | number, b: string | number) =>
    typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(String(b))) : a - Number(b);

  test('in any order, and page by page, are what sorting all of it gives', async () => {
    const tenantId = await six();
    const all = await listVolumes(registry, { tenantId });
    const key = fc.constantFrom(...(Object.keys(keys) as (keyof typeof keys)[]));
    const order = fc.array(fc.record({ key, direction: fc.constantFrom('asc' as const, 'desc' as const) }), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(order, fc.integer({ min: 1, max: 7 }), async (sort, limit) => {
        const full = [...sort, { key: 'id' as const, direction: sort[0]!.direction }];
        const expected = all.toSorted((a, b) => {
          for (const { key: by, direction } of full) {
            const c = compare(keys[by](a), keys[by](b));
            if (c !== 0) return direction === 'asc' ? c : -c;
          }
          return 0;
        });
        const got: Volume[] = [];
        for (;;) {
          const page = await listVolumes(registry, { tenantId, sort, limit, after: got.at(-1)?.id });
          assert.ok(page.length <= limit);
          got.push(...page);
          if (page.length < limit) break;
        }
        assert.deepEqual(
          got.map(({ id }) => id),
          expected.map(({ id }) => id),
        );
        const skipped = await listVolumes(registry, { tenantId, sort, offset: 2, limit });
        assert.deepEqual(
          skipped.map(({ id }) => id),
          expected.slice(2, 2 + limit).map(({ id }) => id),
        );
      }),
      { numRuns: 60 },
    );
  });

  test('hold the volumes that fit, and tell how many there are', async () => {
    const tenantId = await six();
    const found = async (filter: Parameters<typeof listVolumes>[1]) => {
      const listed = await listVolumes(registry, { tenantId, ...filter });
      assert.equal(await countVolumes(registry, { tenantId, ...filter }), listed.length);
      return listed.length;
    };
    assert.equal(await found({}), 6);
    assert.equal(await found({ name: 'a' }), 2);
    assert.equal(await found({ status: 'error' }), 3);
    assert.equal(await found({ bootable: true }), 2);
    assert.equal(await found({ bootable: false }), 4);
    assert.equal(await found({ metadata: { k: 'v' } }), 3);
    assert.equal(await found({ metadata: { k: 'v', n: '1' } }), 1);
    assert.equal(await found({ metadata: { k: 'w' } }), 0);
    assert.equal(await found({ metadata: {} }), 6);
    assert.equal(await found({ sizeGib: 2 }), 2);
    assert.equal(await found({ availabilityZone: 'zone1' }), 6);
    assert.equal(await found({ availabilityZone: 'zone2' }), 0);
    assert.equal(await found({ migrationStatus: null }), 6);
    assert.equal(await found({ migrationStatus: 'migrating' }), 0);
    assert.equal(await found({ createdAt: [{ is: 'gt', at: at(1) }] }), 2);
    assert.equal(
      await found({
        createdAt: [
          { is: 'gte', at: at(1) },
          { is: 'lt', at: at(3) },
        ],
      }),
      3,
    );
    assert.equal(await found({ createdAt: [{ is: 'eq', at: at(0) }] }), 2);
    assert.equal(await found({ createdAt: [{ is: 'neq', at: at(0) }] }), 4);
    assert.equal(await found({ createdAt: [{ is: 'lte', at: at(0) }], name: 'b' }), 1);
    assert.deepEqual(await listVolumes(registry, { tenantId, limit: 0 }), []);
  });

  test('go on only after what is there, and the caller’s', async () => {
    const tenantId = await six();
    const [other] = await listVolumes(registry, { tenantId: await six() });
    for (const after of [randomUUID(), 'nonsense', other!.id])
      await assert.rejects(listVolumes(registry, { tenantId, after }), ferryError('VolumeNotFound'));
    await assert.rejects(listSnapshots(registry, { after: randomUUID() }), ferryError('SnapshotNotFound'));
  });

  test('of snapshots are sorted, cut and filtered as well', async () => {
    const tenantId = randomUUID();
    const volumeId = await putVolume(registry, { tenant_id: tenantId });
    const other = await putVolume(registry, { tenant_id: tenantId, availability_zone: 'zone2' });
    for (const [i, name] of ['c', 'a', 'b', 'a'].entries())
      await putSnapshot(registry, i < 3 ? volumeId : other, {
        tenant_id: tenantId,
        name,
        status: i === 0 ? 'error' : 'available',
        metadata: i === 0 ? { k: 'v' } : {},
        created_at: at(i),
      });
    const found = async (filter: Parameters<typeof listSnapshots>[1]) => {
      const listed = await listSnapshots(registry, { tenantId, ...filter });
      return listed.map(({ name, createdAt }: Snapshot) => `${name}${createdAt.getUTCSeconds()}`).join(' ');
    };
    assert.equal(await found({}), 'a3 b2 a1 c0');
    assert.equal(await found({ sort: [{ key: 'createdAt', direction: 'asc' }] }), 'c0 a1 b2 a3');
    const byName = [
      { key: 'name', direction: 'asc' },
      { key: 'createdAt', direction: 'desc' },
    ] as const;
    assert.equal(await found({ sort: byName }), 'a3 a1 b2 c0');
    const [first] = await listSnapshots(registry, { tenantId, sort: byName });
    assert.equal(await found({ sort: byName, after: first!.id, limit: 2 }), 'a1 b2');
    assert.equal(await found({ volumeId }), 'b2 a1 c0');
    assert.equal(await found({ name: 'a', status: 'available' }), 'a3 a1');
    assert.equal(await found({ status: 'error' }), 'c0');
    assert.equal(await found({ metadata: { k: 'v' } }), 'c0');
    assert.equal(await found({ availabilityZone: 'zone2' }), 'a3');
    assert.equal(await found({ offset: 1, limit: 2 }), 'b2 a1');
    assert.equal(await countSnapshots(registry, { tenantId, name: 'a' }), 2);
  });

  test('a snapshot’s words are changed by its tenant', async () => {
    const snapshotId = await putSnapshot(registry, await putVolume(registry));
    assert.equal((await findSnapshot(registry, snapshotId)).updatedAt, null);
    const named = await describeSnapshot(registry, snapshotId, { name: 'n', metadata: { a: '1', b: '2' } });
    assert.deepEqual([named.name, named.description, named.metadata], ['n', null, { a: '1', b: '2' }]);
    assert.ok(named.updatedAt);
    const changed = await changeSnapshotMetadata(registry, snapshotId, { set: { b: '3', c: '4' }, unset: ['a'] });
    assert.deepEqual(changed.metadata, { b: '3', c: '4' });
    const other = { tenantId: 'other' };
    await assert.rejects(describeSnapshot(registry, snapshotId, { name: 'x' }, other), ferryError('SnapshotNotFound'));
    const change = { set: { x: 'y' } };
    await assert.rejects(changeSnapshotMetadata(registry, snapshotId, change, other), ferryError('SnapshotNotFound'));
  });

  test('a private type is seen by those who have access to it', async () => {
    const name = `private-${randomUUID()}`;
    const type = await createVolumeType(registry, { name, description: null, extraSpecs: {}, isPublic: false });
    const tenant = { tenantId: randomUUID() };
    const sees = async () => (await listVolumeTypes(registry, tenant)).some(({ id }) => id === type.id);
    assert.equal(await sees(), false);
    await assert.rejects(findVolumeType(registry, name, tenant), ferryError('VolumeTypeNotFound'));
    await assert.rejects(findVolumeType(registry, type.id, tenant), ferryError('VolumeTypeNotFound'));
    await assert.rejects(mustSeeType(registry, name, tenant), ferryError('VolumeTypeNotFound'));
    assert.equal(await addTypeAccess(registry, type, tenant.tenantId), true);
    assert.equal(await addTypeAccess(registry, type, tenant.tenantId), false);
    assert.equal(await sees(), true);
    assert.deepEqual(await findVolumeType(registry, name, tenant), type);
    await mustSeeType(registry, name, tenant);
    assert.deepEqual(await listTypeAccess(registry, type), [tenant.tenantId]);
    assert.equal(await removeTypeAccess(registry, type, tenant.tenantId), true);
    assert.equal(await removeTypeAccess(registry, type, tenant.tenantId), false);
    assert.equal(await sees(), false);
    await addTypeAccess(registry, type, tenant.tenantId);
    await changeVolumeType(registry, name, { isPublic: true });
    assert.equal(await sees(), true);
    await changeVolumeType(registry, name, { isPublic: false });
    assert.equal(await sees(), false);
    await addTypeAccess(registry, type, tenant.tenantId);
    await deleteVolumeType(registry, name);
  });

  test('a type is renamed with its volumes, not to a name that is taken', async () => {
    const [name, taken] = [`type-${randomUUID()}`, `type-${randomUUID()}`];
    for (const each of [name, taken])
      await createVolumeType(registry, { name: each, description: null, extraSpecs: { media: 'ssd' } });
    const volumeId = await putVolume(registry, { volume_type: name });
    await assert.rejects(changeVolumeType(registry, name, { name: taken }), ferryError('VolumeTypeExists'));
    const renamed = await changeVolumeType(registry, name, { name: `${name}-2`, description: 'd' });
    assert.deepEqual([renamed.name, renamed.description], [`${name}-2`, 'd']);
    assert.equal((await findVolume(registry, volumeId)).volumeType, `${name}-2`);
    await assert.rejects(findVolumeType(registry, name), ferryError('VolumeTypeNotFound'));
    await assert.rejects(
      changeVolumeType(registry, renamed.id, { set: { media: 'hdd' }, name }),
      ferryError('VolumeTypeInUse'),
    );
    assert.equal((await findVolumeType(registry, renamed.id)).name, `${name}-2`);
  });
});
