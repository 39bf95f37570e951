import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Claim, MigrationRequestInput } from '../../model/migration.ts';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import { listKeptSources } from '../../registry/kept-sources.ts';
import {
  enterPhase,
  nameDestination,
  releaseVolume,
  returnToSource,
  switchVolume,
} from '../../registry/migration-steps.ts';
import { findMigration, listMigrations } from '../../registry/migrations.ts';
import { findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { claimArguments, destination, ferryError, putBackEnd, putVolume, source } from './world.ts';

const ownName = '0b3a4d9e-27a5-4b6e-9f57-5f1f6f0b7c11';
const reason = { type: 'NoProgress', message: 'no byte moved' } as const;

describe('steps of a migration', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 20 });
    await putBackEnd(registry, source);
    await putBackEnd(registry, destination, { freeBytes: 5000 * gib });
  });

  const claimed = async (request: Partial<MigrationRequestInput> = {}): Promise<Claim> =>
    (await claimVolume(registry, claimArguments(await putVolume(registry), request))).claim;
  const state = async (claim: Claim) => ({
    volume: await findVolume(registry, claim.volumeId),
    record: await findMigration(registry, claim.migrationId),
  });

  /** Each step, after what must come before it. */
  const steps: { name: string; prepare: (c: Claim) => Promise<unknown>; step: (c: Claim) => Promise<unknown> }[] = [
    { name: 'entering a phase', prepare: async () => {}, step: (c) => enterPhase(registry, c, 'copying', 'migrating') },
    {
      name: 'naming the destination',
      prepare: async () => {},
      step: (c) => nameDestination(registry, c, ownName),
    },
    {
      name: 'undoing',
      prepare: (c) => enterPhase(registry, c, 'copying'),
      step: (c) => enterPhase(registry, c, 'undoing'),
    },
    {
      name: 'the switch',
      prepare: async () => {},
      step: (c) => switchVolume(registry, c, { digest: 'd', transferredBytes: 1 }),
    },
    {
      name: 'cleaning up',
      prepare: (c) => switchVolume(registry, c),
      step: (c) => enterPhase(registry, c, 'cleaning-up'),
    },
    {
      name: 'a release after an error',
      prepare: async () => {},
      step: (c) => releaseVolume(registry, c, { outcome: 'error', error: reason }),
    },
    {
      name: 'a release after success',
      prepare: (c) => switchVolume(registry, c),
      step: (c) => releaseVolume(registry, c, { outcome: 'success' }),
    },
  ];

  for (const { name, prepare, step } of steps) {
    test(`${name} may be repeated, and changes nothing the second time`, async () => {
      const claim = await claimed();
      await prepare(claim);
      await step(claim);
      const once = await state(claim);
      await step(claim);
      assert.deepEqual(await state(claim), once);
    });

    test(`${name} is done once by many repeats at the same time`, async () => {
      const claim = await claimed();
      await prepare(claim);
      await Promise.all(Array.from({ length: 10 }, () => step(claim)));
      const { record } = await state(claim);
      const names = record.phases.map((p) => p.phase);
      assert.deepEqual(names, [...new Set(names)]);
    });

    test(`${name} is fenced for another owner, an older epoch and another migration`, async () => {
      const claim = await claimed();
      await prepare(claim);
      const before = await state(claim);
      for (const other of [
        { owner: 'somebody/else' },
        { epoch: claim.epoch - 1 },
        { epoch: claim.epoch + 1 },
        { volumeId: await putVolume(registry) },
      ]) {
        await assert.rejects(step({ ...claim, ...other }), ferryError('Fenced'));
      }
      const stranger = await claimed();
      await assert.rejects(step({ ...claim, migrationId: stranger.migrationId }), ferryError('Fenced'));
      assert.deepEqual(await state(claim), before);
    });

    test(`${name} is fenced, or a repeat of what was done, once the volume is another migration's`, async () => {
      const claim = await claimed();
      await releaseVolume(registry, claim, { outcome: 'cancelled' });
      await claimVolume(registry, claimArguments(claim.volumeId));
      const before = await findVolume(registry, claim.volumeId);
      await step(claim).catch(ferryError('Fenced'));
      assert.deepEqual(await findVolume(registry, claim.volumeId), before);
    });
  }

  test('a late repeat of an earlier phase changes nothing', async () => {
    const claim = await claimed();
    await enterPhase(registry, claim, 'copying', 'migrating');
    await enterPhase(registry, claim, 'switching', 'completing');
    await enterPhase(registry, claim, 'copying', 'migrating');
    const { volume, record } = await state(claim);
    assert.equal(volume.migrationStatus, 'completing');
    assert.equal(record.phase, 'switching');
  });

  test('what is switched is not undone, nor ended as an error', async () => {
    const claim = await claimed();
    await switchVolume(registry, claim);
    await assert.rejects(enterPhase(registry, claim, 'undoing'), ferryError('PastPointOfNoReturn'));
    await assert.rejects(releaseVolume(registry, claim, { outcome: 'cancelled' }), ferryError('PastPointOfNoReturn'));
    await assert.rejects(
      releaseVolume(registry, claim, { outcome: 'error', error: reason }),
      ferryError('PastPointOfNoReturn'),
    );
    const { volume } = await state(claim);
    assert.equal(volume.host, destination);
    assert.equal(volume.migrationOwner, claim.owner);
  });

  test('what nobody says a proof of is recorded as not proven; what is known stays known', async () => {
    const claim = await claimed();
    const proofAfter = async (found?: Parameters<typeof switchVolume>[2]) => {
      await switchVolume(registry, claim, found);
      return (await state(claim)).record.proof;
    };
    assert.equal(await proofAfter(), 'none');
    assert.equal(await proofAfter({ proof: 'both' }), 'both');
    assert.equal(await proofAfter(), 'both');
  });

  test('what is being undone is not switched', async () => {
    const claim = await claimed();
    await enterPhase(registry, claim, 'undoing');
    await assert.rejects(switchVolume(registry, claim), ferryError('Fenced'));
    assert.equal((await state(claim)).volume.host, source);
  });

  test('a destination that got a name of its own is switched to under that name', async () => {
    const claim = await claimed();
    await nameDestination(registry, claim, ownName);
    await switchVolume(registry, claim);
    const { volume, record } = await state(claim);
    assert.deepEqual([volume.nameId, record.destinationNameId], [ownName, ownName]);
  });

  test('what is switched, or being undone, gets no other name', async () => {
    for (const end of [switchVolume, (...[q, c]: Parameters<typeof switchVolume>) => enterPhase(q, c, 'undoing')]) {
      const claim = await claimed();
      await end(registry, claim);
      const before = await state(claim);
      await assert.rejects(nameDestination(registry, claim, ownName), ferryError('Fenced'));
      assert.deepEqual(await state(claim), before);
    }
  });

  test('to a destination that is lost leads back to the source, with a generation above it', async () => {
    const claim = await claimed({ keepSourceSeconds: 60 });
    const { volume: before } = await state(claim);
    await switchVolume(registry, claim, { identity: 'device-2' });
    for (let times = 0; times < 2; times += 1) await returnToSource(registry, claim);
    await releaseVolume(registry, claim, { outcome: 'error', error: { type: 'NotProven', message: 'lost' } });
    const { volume, record } = await state(claim);
    assert.deepEqual(volume, {
      ...before,
      migrationOwner: null,
      migrationStatus: null,
      migrationSince: null,
      generation: 2,
      migrationEpoch: 2,
    });
    assert.equal(record.outcome, 'error');
    assert.deepEqual(await listKeptSources(registry, { volumeId: claim.volumeId }), []);
  });

  test('what was not switched is no success', async () => {
    const claim = await claimed();
    await assert.rejects(releaseVolume(registry, claim, { outcome: 'success' }), ferryError('NotSwitched'));
    assert.equal((await state(claim)).record.outcome, null);
  });

  test('of a switch and an undoing at the same time exactly one wins', async () => {
    let switches = 0;
    for (let round = 0; round < 200; round += 1) {
      const claim = await claimed();
      const [switched, undone] = await Promise.allSettled(
        round % 2 === 0
          ? [switchVolume(registry, claim), enterPhase(registry, claim, 'undoing')]
          : [enterPhase(registry, claim, 'undoing'), switchVolume(registry, claim)].toReversed(),
      );
      assert.notEqual(switched!.status, undone!.status);
      const { volume } = await state(claim);
      assert.equal(volume.host, switched!.status === 'fulfilled' ? destination : source);
      if (switched!.status === 'fulfilled') switches += 1;
    }
    assert.ok(switches > 0 && switches < 200, `${switches} of 200 switched: the race was none`);
  });

  test('the first outcome stays', async () => {
    const claim = await claimed();
    await releaseVolume(registry, claim, { outcome: 'error', error: reason });
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
    const { record } = await state(claim);
    assert.equal(record.outcome, 'error');
    assert.deepEqual(record.error, reason);
  });

  test('assisted keeps the name, and the host changes', async () => {
    const id = await putVolume(registry);
    await putBackEnd(registry, 'server1@second');
    const { claim } = await claimVolume(registry, claimArguments(id, { destination: 'server1@second' }));
    await switchVolume(registry, claim);
    const { volume } = await state(claim);
    assert.equal(volume.nameId, null);
    assert.equal(volume.host, 'server1@second');
  });

  test('a tenant sees nothing of it in the volume', async () => {
    const id = await putVolume(registry);
    const seen = async () => {
      const v = await findVolume(registry, id);
      return { status: v.status, name: v.name, updatedAt: v.updatedAt, sizeBytes: v.sizeBytes, metadata: v.metadata };
    };
    const before = await seen();
    const { claim } = await claimVolume(registry, claimArguments(id));
    await enterPhase(registry, claim, 'copying', 'migrating');
    assert.deepEqual(await seen(), before);
    await switchVolume(registry, claim);
    await releaseVolume(registry, claim, { outcome: 'success' });
    assert.deepEqual(await seen(), before);
  });

  test('records are listed by outcome, by whether they run, and by back end', async () => {
    const claim = await claimed();
    const running = await listMigrations(registry, { running: true });
    assert.ok(running.some((m) => m.id === claim.migrationId));
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
    const cancelled = await listMigrations(registry, { outcome: 'cancelled', backEnd: destination, limit: 1 });
    assert.deepEqual(
      cancelled.map((m) => m.id),
      [claim.migrationId],
    );
    await assert.rejects(findMigration(registry, 'no id at all'), ferryError('MigrationNotFound'));
  });
});
