import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import { setDisabled } from '../../registry/back-ends.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { enterPhase, releaseVolume, switchVolume } from '../../registry/migration-steps.ts';
import { findMigration, listClaims, listMigrations } from '../../registry/migrations.ts';
import { findVolume, isCurrentLocation, listVolumes } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import {
  claimArguments,
  destination,
  ferryError,
  putAttachment,
  putBackEnd,
  putSnapshot,
  putVolume,
  source,
} from './world.ts';

describe('claim of a volume', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
    await putBackEnd(registry, destination, { availabilityZone: 'zone2', freeBytes: 500 * gib });
  });

  test('takes the volume, tells what the flow needs and opens the record', async () => {
    const id = await putVolume(registry, { size_bytes: 2 * gib, device_identity: 'device-1' });
    const args = claimArguments(id, { requestedBy: 'alice' });
    const claimed = await claimVolume(registry, args);
    assert.deepEqual(claimed, {
      claim: { volumeId: id, migrationId: args.migrationId, owner: args.owner, epoch: 1 },
      flow: 'generic-detached',
      sizeBytes: 2 * gib,
      source: { backEnd: source, deviceName: `volume-${id}`, identity: 'device-1', generation: 0 },
      destination: { backEnd: destination },
      tenantId: 'tenant-1',
      labels: ['ferry.tenant=tenant-1', 'ferry.name=test'],
    });
    const volume = await findVolume(registry, id);
    assert.equal(volume.migrationStatus, 'starting');
    assert.equal(volume.migrationOwner, args.owner);
    assert.equal(volume.status, 'available');
    assert.equal(volume.host, source);
    const record = await findMigration(registry, args.migrationId);
    assert.equal(record.requestedBy, 'alice');
    assert.equal(record.phase, 'preparing');
    assert.deepEqual(
      record.phases.map((p) => p.phase),
      ['claiming', 'preparing'],
    );
    assert.equal(record.destinationNameId, args.destinationNameId);
    assert.equal(record.sourceNameId, null);
    assert.equal(record.outcome, null);
  });

  test('by the same owner again gives the same answer and changes nothing', async () => {
    const id = await putVolume(registry);
    const args = claimArguments(id);
    const first = await claimVolume(registry, args);
    const volume = await findVolume(registry, id);
    const record = await findMigration(registry, id);
    assert.deepEqual(await claimVolume(registry, args), first);
    assert.deepEqual(await claimVolume(registry, { ...args, destinationNameId: randomUUID() }), first);
    assert.deepEqual(await findVolume(registry, id), volume);
    assert.deepEqual(await findMigration(registry, id), record);
  });

  test('after its end is never taken again by a late repeat', async () => {
    const id = await putVolume(registry);
    const args = claimArguments(id);
    const { claim } = await claimVolume(registry, args);
    await releaseVolume(registry, claim, { outcome: 'cancelled' });
    await assert.rejects(claimVolume(registry, args), ferryError('Fenced'));
    assert.equal((await findVolume(registry, id)).migrationOwner, null);
  });

  test('rises the epoch with every new owner', async () => {
    const id = await putVolume(registry);
    for (const epoch of [1, 2, 3]) {
      const { claim } = await claimVolume(registry, claimArguments(id));
      assert.equal(claim.epoch, epoch);
      await releaseVolume(registry, claim, { outcome: 'error', error: { type: 'NoProgress', message: 'stuck' } });
    }
    assert.deepEqual(
      (await listMigrations(registry, { volumeId: id })).map((m) => m.error?.type),
      ['NoProgress', 'NoProgress', 'NoProgress'],
    );
  });

  test('chooses the flow from what it finds: attached, forced, able to move by itself', async () => {
    const cases = [
      { attached: false, to: destination, forceHostCopy: false, flow: 'generic-detached' },
      { attached: false, to: 'server1@second', forceHostCopy: false, flow: 'assisted' },
      { attached: false, to: 'server1@second', forceHostCopy: true, flow: 'generic-detached' },
      { attached: false, to: 'server1@files', forceHostCopy: false, flow: 'generic-detached' },
      { attached: true, to: 'server1@second', forceHostCopy: false, flow: 'generic-attached' },
    ] as const;
    await putBackEnd(registry, 'server1@second');
    await putBackEnd(registry, 'server1@files', { driver: 'directory' });
    for (const c of cases) {
      const nameId = randomUUID();
      const id = await putVolume(registry, { name_id: nameId, status: c.attached ? 'in-use' : 'available' });
      if (c.attached) await putAttachment(registry, id);
      const args = claimArguments(id, { destination: c.to, forceHostCopy: c.forceHostCopy });
      const claimed = await claimVolume(registry, args);
      assert.equal(claimed.flow, c.flow);
      assert.equal(claimed.source.deviceName, `volume-${nameId}`);
      const record = await findMigration(registry, args.migrationId);
      assert.equal(record.destinationNameId, c.flow === 'assisted' ? nameId : args.destinationNameId);
    }
  });

  test('is refused with every reason at once, and nothing changes', async () => {
    await putBackEnd(registry, 'server9@small', { freeBytes: gib });
    await setDisabled(registry, 'server9@small', true, 'maintenance');
    const id = await putVolume(registry, { size_bytes: 5 * gib, status: 'error' });
    await putSnapshot(registry, id);
    await assert.rejects(claimVolume(registry, claimArguments(id, { destination: 'server9@small' })), (error) => {
      ferryError('MigrationRefused')(error);
      const { reasons } = (error as { details: { reasons?: { type: string }[] } }).details;
      assert.deepEqual(
        reasons?.map((r) => r.type),
        ['VolumeStatusRefused', 'VolumeHasSnapshots', 'BackEndDisabled', 'InsufficientSpace'],
      );
      return true;
    });
    assert.equal((await findVolume(registry, id)).migrationEpoch, 0);
    assert.deepEqual(await listMigrations(registry, { volumeId: id }), []);
    const plan = await planMigration(registry, { volumeId: id, destination: 'server9@small' });
    assert.equal(plan.reasons.length, 4);
    assert.equal(plan.facts.volume?.id, id);
  });

  test('is refused when the volume or the destination is not there', async () => {
    const id = await putVolume(registry);
    await assert.rejects(
      claimVolume(registry, claimArguments(id, { destination: 'server8@none' })),
      ferryError('BackEndNotFound'),
    );
    await assert.rejects(claimVolume(registry, claimArguments(randomUUID())), ferryError('VolumeNotFound'));
  });

  test('tells the phase of the migration that holds the volume', async () => {
    const id = await putVolume(registry);
    const { claim } = await claimVolume(registry, claimArguments(id));
    await enterPhase(registry, claim, 'copying', 'migrating');
    await assert.rejects(claimVolume(registry, claimArguments(id)), ferryError('VolumeMigrating'));
    const [held] = await listClaims(registry, { volumeId: id });
    assert.deepEqual(
      { ...held, since: null },
      { ...claim, phase: 'copying', switched: false, asked: null, since: null },
    );
    assert.deepEqual((await listVolumes(registry, { migrating: true })).filter((v) => v.id === id).length, 1);
  });

  test('leads through switch and release to the volume on its destination', async () => {
    const id = await putVolume(registry, { status: 'in-use' });
    const attachmentId = await putAttachment(registry, id);
    const before = await findVolume(registry, id);
    const args = claimArguments(id);
    const { claim } = await claimVolume(registry, args);
    await enterPhase(registry, claim, 'preparing');
    await enterPhase(registry, claim, 'copying', 'migrating');
    await enterPhase(registry, claim, 'switching');
    assert.equal(await isCurrentLocation(registry, source, `volume-${id}`), true);
    await switchVolume(registry, claim, {
      digest: 'abc',
      transferredBytes: 4096,
      identity: 'device-2',
      attachment: { id: attachmentId, connection: { port: 10809 } },
    });
    assert.equal((await findVolume(registry, id)).migrationStatus, 'completing');
    assert.equal(await isCurrentLocation(registry, source, `volume-${id}`), false);
    assert.equal(await isCurrentLocation(registry, destination, `volume-${args.destinationNameId}`), true);
    await enterPhase(registry, claim, 'cleaning-up');
    await releaseVolume(registry, claim, { outcome: 'success' });

    assert.deepEqual(await findVolume(registry, id), {
      ...before,
      host: destination,
      nameId: args.destinationNameId,
      availabilityZone: 'zone2',
      migrationEpoch: 1,
      generation: 1,
      deviceIdentity: 'device-2',
    });
    const record = await findMigration(registry, id);
    assert.deepEqual(
      record.phases.map((p) => p.phase),
      ['claiming', 'preparing', 'copying', 'switching', 'cleaning-up', 'finished'],
    );
    assert.equal(record.outcome, 'success');
    assert.equal(record.digest, 'abc');
    assert.equal(record.transferredBytes, 4096);
    assert.ok(record.finishedAt);
  });
});
