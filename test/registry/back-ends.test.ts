import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { backEndState } from '../../model/back-end.ts';
import { deviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { findBackEnd, listBackEnds, reportBackEnds, setDisabled } from '../../registry/back-ends.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, failCreate } from '../../registry/creation.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { enterPhase, releaseVolume } from '../../registry/migration-steps.ts';
import { noColumns } from '../../registry/rows.ts';
import { volumeOrNull } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { anOwner, claimArguments, ferryError, putBackEnd, putVolume, source } from './world.ts';

describe('back ends', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 20 });
    await putBackEnd(registry, source);
  });

  const report = {
    availabilityZone: 'z1',
    driver: 'lvm',
    totalBytes: 10,
    freeBytes: 5,
    fault: null,
    capabilities: { media: 'ssd' },
  } as const;

  test('report themselves, and are up', async () => {
    await reportBackEnds(registry, 'n1', [
      { ...report, name: 'n1@b' },
      { ...report, name: 'n1@a', driver: 'directory' },
    ]);
    const a = await findBackEnd(registry, 'n1@a');
    assert.deepEqual(
      { ...a, heartbeatAt: null },
      {
        ...report,
        name: 'n1@a',
        node: 'n1',
        driver: 'directory',
        disabled: false,
        disabledReason: null,
        placementFault: null,
        lostDevices: [],
        heartbeatAt: null,
        decommissionedAt: null,
      },
    );
    assert.equal(backEndState(a, new Date()), 'up');
    const names = (await listBackEnds(registry)).map((b) => b.name);
    assert.deepEqual(names, names.toSorted());
  });

  test('keep their newest report, and what the administrator set', async () => {
    await reportBackEnds(registry, 'n2', [{ ...report, name: 'n2@a' }]);
    await setDisabled(registry, 'n2@a', true, 'decommissioned');
    await reportBackEnds(registry, 'n2', [
      { ...report, name: 'n2@a', freeBytes: 1, fault: 'gone', availabilityZone: 'z2' },
    ]);
    const b = await findBackEnd(registry, 'n2@a');
    assert.deepEqual(
      [b.freeBytes, b.fault, b.availabilityZone, b.disabled, b.disabledReason],
      [1, 'gone', 'z2', true, 'decommissioned'],
    );
    assert.equal(backEndState(b, new Date()), 'down');
    assert.equal((await setDisabled(registry, 'n2@a', false, 'ignored'))[0]!.disabledReason, null);
  });

  test('of another node are not reported by mistake', async () => {
    await assert.rejects(reportBackEnds(registry, 'n3', [{ ...report, name: 'n4@a' }]), /violates/);
    assert.deepEqual(await reportBackEnds(registry, 'n3', []), []);
  });

  test('that are not known are not found', async () => {
    await assert.rejects(findBackEnd(registry, 'n9@a'), ferryError('BackEndNotFound'));
    await assert.rejects(setDisabled(registry, 'n9@a', true), ferryError('BackEndNotFound'));
  });

  test('are reported by many at once without waiting for each other for ever', async () => {
    const names = Array.from({ length: 10 }, (_, i) => `n5@b${i}`);
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const order = i % 2 === 0 ? names : names.toReversed();
        return reportBackEnds(
          registry,
          'n5',
          order.map((name) => ({ ...report, name })),
        );
      }),
    );
  });

  describe('promise their free bytes once', () => {
    const free = async (destination: string, freeGib: number) =>
      putBackEnd(registry, destination, { freeBytes: freeGib * gib });
    const promised = async (destination: string) =>
      (await planMigration(registry, { volumeId: randomUUID(), destination })).facts.promisedBytes / gib;
    const later = (destination: string, seconds: number) =>
      registry.rows(
        noColumns,
        `UPDATE back_ends SET heartbeat_at = now() + $2 * interval '1 second', measured_at = now() + $2 * interval '1 second' WHERE name = $1`,
        [destination, seconds],
      );

    test("to a migration, until the device is there and the back end's own report knows of it", async () => {
      await free('p1@a', 3);
      const { claim } = await claimVolume(
        registry,
        claimArguments(await putVolume(registry, { size_bytes: 2 * gib }), { destination: 'p1@a' }),
      );
      const another = () => putVolume(registry, { size_bytes: 2 * gib });
      assert.equal(await promised('p1@a'), 2);
      await assert.rejects(
        claimVolume(registry, claimArguments(await another(), { destination: 'p1@a' })),
        ferryError('InsufficientSpace'),
      );
      await enterPhase(registry, claim, 'preparing');
      assert.equal(await promised('p1@a'), 2);
      await enterPhase(registry, claim, 'copying', 'migrating');
      // The last report may have been measured before the device was made.
      assert.equal(await promised('p1@a'), 2);
      await later('p1@a', 3);
      assert.equal(await promised('p1@a'), 2);
      await later('p1@a', 6);
      assert.equal(await promised('p1@a'), 0);
      // It is heard of, but repeats what it said before.
      await registry.rows(noColumns, `UPDATE back_ends SET measured_at = now() - interval '10 s' WHERE name = 'p1@a'`);
      assert.equal(await promised('p1@a'), 2);
    });

    test('to a migration that the storage makes, until its copy is over', async () => {
      await free('server1@p2', 3);
      const { claim } = await claimVolume(
        registry,
        claimArguments(await putVolume(registry), { destination: 'server1@p2' }),
      );
      await enterPhase(registry, claim, 'copying');
      await later('server1@p2', 6);
      assert.equal(await promised('server1@p2'), 1);
      await enterPhase(registry, claim, 'switching');
      assert.equal(await promised('server1@p2'), 0);
    });

    test('to a migration no longer than it runs', async () => {
      await free('p3@a', 3);
      const { claim } = await claimVolume(registry, claimArguments(await putVolume(registry), { destination: 'p3@a' }));
      await releaseVolume(registry, claim, { outcome: 'cancelled' });
      assert.equal(await promised('p3@a'), 0);
    });

    test('to a volume that is being created', async () => {
      await free('p4@a', 3);
      const ticket = { volumeId: randomUUID(), owner: anOwner('create') };
      await beginCreate(registry, { ...ticket, tenantId: 't', sizeBytes: 2 * gib, backEnd: 'p4@a' });
      assert.equal(await promised('p4@a'), 2);
      await assert.rejects(
        claimVolume(
          registry,
          claimArguments(await putVolume(registry, { size_bytes: 2 * gib }), { destination: 'p4@a' }),
        ),
        ferryError('InsufficientSpace'),
      );
      await failCreate(registry, { ...ticket, reason: { type: 'ToolFailed', message: 'no' } });
      assert.equal(await promised('p4@a'), 0);
    });
  });

  describe('that may not be filled any more', () => {
    const placementFault = '1 of the physical volumes of vg are missing';
    const failing = 'q1@a';
    before(async () => {
      await putBackEnd(registry, 'q2@a', { freeBytes: 100 * gib });
    });

    test('take nothing, and are left by what can still be read; what cannot is named', async () => {
      const [good, bad] = [
        await putVolume(registry, { host: await failingNow([]) }),
        await putVolume(registry, { host: failing }),
      ];
      await failingNow([deviceName({ id: bad, nameId: null })]);
      await assert.rejects(
        claimVolume(registry, claimArguments(await putVolume(registry), { destination: failing })),
        ferryError('BackEndUnavailable'),
      );
      const to = { destination: 'q2@a' };
      await assert.rejects(claimVolume(registry, claimArguments(bad, to)), (error: Error) => {
        ferryError('DeviceLost')(error);
        assert.match(error.message, new RegExp(`volume-${bad} lies on a disk that is lost`));
        return true;
      });
      assert.equal((await volumeOrNull(registry, bad))?.migrationOwner, null);
      await claimVolume(registry, claimArguments(good, to));
      await putBackEnd(registry, failing);
      await claimVolume(registry, claimArguments(bad, to));
    });

    test('repeat a claim that was there before the disk was lost', async () => {
      const id = await putVolume(registry, { host: await failingNow([]) });
      const args = claimArguments(id, { destination: 'q2@a' });
      const { claim } = await claimVolume(registry, args);
      await failingNow([deviceName({ id, nameId: null })]);
      assert.deepEqual((await claimVolume(registry, args)).claim, claim);
    });

    test('create nothing, wherever it is said or chosen', async () => {
      await failingNow([]);
      const ticket = { volumeId: randomUUID(), owner: anOwner('create') };
      await assert.rejects(
        beginCreate(registry, { ...ticket, tenantId: 't', sizeBytes: gib, backEnd: failing }),
        ferryError('BackEndUnavailable'),
      );
    });

    const failingNow = async (lostDevices: string[]) => {
      await putBackEnd(registry, failing, { placementFault, lostDevices });
      return failing;
    };
  });
});
