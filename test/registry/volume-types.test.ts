import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, beforeEach, describe, test } from 'node:test';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate } from '../../registry/creation.ts';
import { releaseVolume, switchVolume } from '../../registry/migration-steps.ts';
import { findMigration, lastMigrations } from '../../registry/migrations.ts';
import { chooseDestination } from '../../registry/placement.ts';
import { gatherRetypeFacts, retypeInPlace } from '../../registry/retype.ts';
import {
  changeVolumeType,
  createVolumeType,
  deleteVolumeType,
  findVolumeType,
  listVolumeTypes,
} from '../../registry/volume-types.ts';
import { findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { anOwner, claimArguments, ferryError, putAttachment, putBackEnd, putSnapshot, putVolume } from './world.ts';

const hdd = 'server1@hdd';
const ssd = 'server2@ssd';
const otherSsd = 'server3@ssd';

describe('volume types', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 30 });
  });
  beforeEach(async () => {
    await putBackEnd(registry, hdd, { capabilities: { media: 'hdd' }, freeBytes: 100_000 * gib });
    await putBackEnd(registry, ssd, { capabilities: { media: 'ssd' }, freeBytes: 100_000 * gib });
    await putBackEnd(registry, otherSsd, { capabilities: { media: 'ssd' }, availabilityZone: 'zone2' });
  });

  /** A new type that asks for these; its name. */
  async function type(extraSpecs: Record<string, string> = {}): Promise<string> {
    const name = `type-${randomUUID()}`;
    await createVolumeType(registry, { name, description: null, extraSpecs });
    return name;
  }
  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('retype') });
  const retype = (volumeId: string, volumeType: string) => retypeInPlace(registry, { ...ticket(volumeId), volumeType });
  const moveTo = (volumeId: string, newType: string | null, destination = ssd) =>
    claimVolume(registry, claimArguments(volumeId, { destination, newType }));
  const typeOf = async (volumeId: string) => (await findVolume(registry, volumeId)).volumeType;
  const volume = (volumeType: string | null = null, host = hdd) =>
    putVolume(registry, { host, volume_type: volumeType });

  test('are made, found by name and id, changed and deleted', async () => {
    const name = await type({ media: 'ssd', tier: '1' });
    const found = await findVolumeType(registry, name);
    assert.deepEqual(await findVolumeType(registry, found.id.toUpperCase()), found);
    const changed = await changeVolumeType(registry, found.id, {
      set: { tier: '2', room: 'a' },
      unset: ['media', 'none'],
      description: 'for later',
    });
    assert.deepEqual([changed.extraSpecs, changed.description], [{ tier: '2', room: 'a' }, 'for later']);
    assert.deepEqual((await changeVolumeType(registry, name, { description: null })).extraSpecs, changed.extraSpecs);
    assert.ok((await listVolumeTypes(registry)).some((each) => each.name === name));
    await assert.rejects(
      createVolumeType(registry, { name, description: null, extraSpecs: {} }),
      ferryError('VolumeTypeExists'),
    );
    await deleteVolumeType(registry, name);
    for (const again of [findVolumeType, deleteVolumeType])
      await assert.rejects(again(registry, name), ferryError('VolumeTypeNotFound'));
    await assert.rejects(changeVolumeType(registry, name, {}), ferryError('VolumeTypeNotFound'));
  });

  test('that volumes have are neither deleted nor changed in what they ask for', async () => {
    const name = await type({ media: 'hdd' });
    await volume(name);
    await assert.rejects(deleteVolumeType(registry, name), ferryError('VolumeTypeInUse'));
    await assert.rejects(changeVolumeType(registry, name, { set: { media: 'ssd' } }), ferryError('VolumeTypeInUse'));
    await assert.rejects(changeVolumeType(registry, name, { unset: ['media'] }), ferryError('VolumeTypeInUse'));
    const described = await changeVolumeType(registry, name, { set: { media: 'hdd' }, description: 'disks' });
    assert.deepEqual([described.extraSpecs, described.description], [{ media: 'hdd' }, 'disks']);
  });

  test('a volume is made only where its type is satisfied', async () => {
    const fast = await type({ media: 'ssd' });
    const create = (volumeType: string, backEnd: string) =>
      beginCreate(registry, {
        volumeId: randomUUID(),
        owner: anOwner('create'),
        tenantId: 't',
        sizeBytes: gib,
        backEnd,
        volumeType,
      });
    assert.equal((await create(fast, ssd)).volumeType, fast);
    await assert.rejects(create(fast, hdd), ferryError('CapabilityMissing'));
    await assert.rejects(create('unknown', ssd), ferryError('VolumeTypeNotFound'));
  });

  test('a migration keeps the type, and goes only where it is satisfied', async () => {
    const fast = await type({ media: 'ssd' });
    const id = await volume(fast, ssd);
    await assert.rejects(moveTo(id, null, hdd), ferryError('CapabilityMissing'));
    await moveTo(id, null, otherSsd);
    assert.equal(await typeOf(id), fast);
  });

  describe('are changed', () => {
    test('where the volume is, if its back end has what the new one asks for', async () => {
      const [slow, any] = [await type({ media: 'hdd' }), await type()];
      for (const status of ['available', 'in-use']) {
        const id = await putVolume(registry, { host: hdd, status });
        if (status === 'in-use') await putAttachment(registry, id);
        await putSnapshot(registry, id);
        for (const name of [slow, any]) {
          assert.equal((await retype(id, name)).volumeType, name);
          const { status: now, operation, host } = await findVolume(registry, id);
          assert.deepEqual([now, operation, host], [status, null, hdd]);
        }
      }
    });

    test('never where it lacks something, of another tenant, or to nothing new', async () => {
      const [fast, slow] = [await type({ media: 'ssd' }), await type({ media: 'hdd' })];
      const id = await volume(slow);
      const was = await findVolume(registry, id);
      const refusals: [() => Promise<unknown>, FerryErrorType][] = [
        [() => retype(id, fast), 'MigrationNeeded'],
        [() => retype(id, slow), 'SameVolumeType'],
        [() => retype(id, 'unknown'), 'VolumeTypeNotFound'],
        [() => retypeInPlace(registry, { ...ticket(id), volumeType: fast, tenantId: 'another' }), 'VolumeNotFound'],
        [() => moveTo(id, slow), 'MigrationRefused'],
        [() => moveTo(id, 'unknown'), 'VolumeTypeNotFound'],
        [() => moveTo(id, fast, hdd), 'SameBackEnd'],
      ];
      for (const [attempt, wanted] of refusals) await assert.rejects(attempt, ferryError(wanted));
      assert.deepEqual(await findVolume(registry, id), was);
    });

    test('with the switch of a migration, and on record', async () => {
      const [slow, fast] = [await type({ media: 'hdd' }), await type({ media: 'ssd' })];
      const id = await volume(slow);
      const { claim } = await moveTo(id, fast);
      assert.equal(await typeOf(id), slow);
      await assert.rejects(deleteVolumeType(registry, fast), ferryError('VolumeTypeInUse'));
      await assert.rejects(changeVolumeType(registry, fast, { set: { tier: '1' } }), ferryError('VolumeTypeInUse'));
      await switchVolume(registry, claim);
      await switchVolume(registry, claim);
      assert.equal(await typeOf(id), fast);
      await releaseVolume(registry, claim, { outcome: 'success' });
      const { oldType, newType } = await findMigration(registry, id);
      assert.deepEqual([oldType, newType], [slow, fast]);
      await deleteVolumeType(registry, slow);
      assert.equal((await findMigration(registry, id)).oldType, slow);
    });

    test('which is told of all of a list, also of those that had none; of moves that keep the type none is', async () => {
      const [slow, fast] = [await type({ media: 'hdd' }), await type({ media: 'ssd' })];
      const [typed, untyped, kept, still] = [await volume(slow), await volume(), await volume(), await volume()];
      for (const id of [typed, untyped]) await switchVolume(registry, (await moveTo(id, fast)).claim);
      await moveTo(kept, null);
      const outcome = null;
      assert.deepEqual(
        await lastMigrations(registry, [typed, untyped, kept, still]),
        new Map([
          [typed, { outcome, oldType: slow, newType: fast }],
          [untyped, { outcome, oldType: null, newType: fast }],
          [kept, { outcome, oldType: null, newType: null }],
        ]),
      );
    });

    test('not by a migration that goes back', async () => {
      const fast = await type({ media: 'ssd' });
      const id = await volume();
      const { claim } = await moveTo(id, fast);
      await releaseVolume(registry, claim, { outcome: 'cancelled' });
      const { volumeType, host } = await findVolume(registry, id);
      assert.deepEqual([volumeType, host], [null, hdd]);
      await deleteVolumeType(registry, fast);
    });
  });

  test('a retype is told beforehand: what speaks against it, what is lacking, where the volume could go', async () => {
    const [fast, elsewhere] = [await type({ media: 'ssd' }), await type({ media: 'tape' })];
    const id = await volume();
    const facts = await gatherRetypeFacts(registry, { volumeId: id, type: fast });
    assert.deepEqual([facts.refusal, facts.lacking?.type], [null, 'CapabilityMissing']);
    const where = async (name: string) =>
      chooseDestination(registry, { volumeId: id, type: await findVolumeType(registry, name) });
    // The other one that has it is in another zone.
    assert.deepEqual(await where(fast), { destination: ssd });
    const reasonsOf = async (name: string) => {
      const found = await where(name);
      return 'reasons' in found ? found.reasons.map((reason) => reason.type) : [];
    };
    assert.deepEqual(await reasonsOf(elsewhere), ['CapabilityMissing']);
    await putSnapshot(registry, id);
    assert.deepEqual(await reasonsOf(fast), ['VolumeHasSnapshots']);
    await moveTo(await volume(), fast).then(({ claim }) => releaseVolume(registry, claim, { outcome: 'error' }));
    const held = await volume();
    await moveTo(held, fast);
    const refused = await gatherRetypeFacts(registry, { volumeId: held, type: fast });
    assert.equal(refused.refusal?.type, 'VolumeMigrating');
  });

  describe('at the same time', () => {
    const rounds = 100;
    const atOnce = 10;
    type Contender = (volumeId: string, name: string) => Promise<unknown>;
    const change: Contender = (_id, name) => changeVolumeType(registry, name, { set: { media: 'tape' } });
    const remove: Contender = (_id, name) => deleteVolumeType(registry, name);
    const retypeTo: Contender = (id, name) => retype(id, name);
    const migrateTo: Contender = (id, name) => moveTo(id, name);
    const move: Contender = (id) => moveTo(id, null);
    const create: Contender = (_id, name) =>
      beginCreate(registry, {
        volumeId: randomUUID(),
        owner: anOwner('create'),
        tenantId: 't',
        sizeBytes: gib,
        backEnd: hdd,
        volumeType: name,
      });
    const [ssdType, hddType] = [{ media: 'ssd' }, { media: 'hdd' }];
    const pairs: [string, Contender, Contender, Record<string, string>][] = [
      ['a migration to a type and its deletion', migrateTo, remove, ssdType],
      ['a migration to a type and a change of what it asks for', migrateTo, change, ssdType],
      ['a retype and the deletion of the type', retypeTo, remove, hddType],
      ['a retype and a change of what the type asks for', retypeTo, change, hddType],
      ['a creation and the deletion of the type', create, remove, hddType],
      ['a creation and a change of what the type asks for', create, change, hddType],
      ['a retype and a migration to where the type is not satisfied', retypeTo, move, hddType],
      ['two migrations to a type', migrateTo, migrateTo, ssdType],
      ['two retypes', retypeTo, retypeTo, hddType],
    ];
    const refusals: FerryErrorType[] = [
      'VolumeMigrating',
      'VolumeTypeInUse',
      'VolumeTypeNotFound',
      'CapabilityMissing',
      'MigrationNeeded',
      'SameVolumeType',
    ];
    for (const [name, one, other, specs] of pairs) {
      test(`of ${name} exactly one wins, ${rounds} times`, async () => {
        for (let round = 0; round < rounds / atOnce; round += 1) {
          await Promise.all(
            Array.from({ length: atOnce }, async (_, i) => {
              const [id, wanted] = [await volume(), await type(specs)];
              const contenders = i % 2 === 0 ? [one, other] : [other, one];
              const results = await Promise.allSettled(contenders.map((contend) => contend(id, wanted)));
              const lost = results.filter((r) => r.status === 'rejected');
              assert.equal(lost.length, 1, `${2 - lost.length} winners`);
              const error: unknown = lost[0]!.reason;
              assert.ok(error instanceof FerryError && refusals.includes(error.type), String(error));
            }),
          );
        }
      });
    }
  });
});
