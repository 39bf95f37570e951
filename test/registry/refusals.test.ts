import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { FerryErrorType } from '../../model/errors.ts';
import { gib } from '../../model/sizes.ts';
import { setDisabled } from '../../registry/back-ends.ts';
import { beginAttach, beginDetach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate } from '../../registry/creation.ts';
import { beginExtend } from '../../registry/extension.ts';
import { enterPhase } from '../../registry/migration-steps.ts';
import { beginOperation } from '../../registry/operations.ts';
import { resetState } from '../../registry/reset-state.ts';
import { noColumns } from '../../registry/rows.ts';
import { beginSnapshot, beginSnapshotDelete } from '../../registry/snapshots.ts';
import { describeVolume, findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  put,
  putAttachment,
  putBackEnd,
  putSnapshot,
  putVolume,
  source,
} from './world.ts';

const busy = {
  operation: 'extend',
  operation_owner: 'somebody',
  operation_since: new Date(),
  previous_status: 'available',
};

describe('refusals', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source);
    await putBackEnd(registry, destination);
    await putBackEnd(registry, 'server3@disabled');
    await setDisabled(registry, 'server3@disabled', true, 'decommissioned');
    await putBackEnd(registry, 'server4@faulty', { fault: 'volume group is gone' });
    await putBackEnd(registry, 'server5@full', { freeBytes: gib - 1 });
    await putBackEnd(registry, 'server6@silent');
    await registry.rows(
      noColumns,
      `UPDATE back_ends SET heartbeat_at = now() - interval '1 minute' WHERE name = 'server6@silent'`,
    );
  });

  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });

  const migrations: {
    when: string;
    type: FerryErrorType;
    volume?: Record<string, unknown>;
    to?: string;
    also?: (id: string) => Promise<unknown>;
  }[] = [
    { when: 'its status is reserved', type: 'VolumeStatusRefused', volume: { status: 'reserved' } },
    { when: 'its status is error', type: 'VolumeStatusRefused', volume: { status: 'error' } },
    { when: 'its status is maintenance', type: 'VolumeStatusRefused', volume: { status: 'maintenance' } },
    { when: 'it has a snapshot', type: 'VolumeHasSnapshots', also: (id) => putSnapshot(registry, id) },
    {
      when: 'it has only a snapshot that failed',
      type: 'VolumeHasSnapshots',
      also: (id) => putSnapshot(registry, id, { status: 'error' }),
    },
    {
      when: 'another migration holds it',
      type: 'VolumeMigrating',
      also: (id) => claimVolume(registry, claimArguments(id)),
    },
    { when: 'an operation holds it', type: 'VolumeBusy', volume: busy },
    {
      when: 'two guests write to it',
      type: 'VolumeStatusRefused',
      volume: { status: 'in-use' },
      also: async (id) => {
        await putAttachment(registry, id);
        await putAttachment(registry, id);
      },
    },
    { when: 'its own back end is down', type: 'BackEndDown', volume: { host: 'server6@silent' } },
    { when: 'the destination is not known', type: 'BackEndNotFound', to: 'server1@nowhere' },
    { when: 'the destination is disabled', type: 'BackEndDisabled', to: 'server3@disabled' },
    { when: 'the destination has a fault', type: 'BackEndDown', to: 'server4@faulty' },
    { when: 'the destination has not been heard of', type: 'BackEndDown', to: 'server6@silent' },
    { when: 'the destination has too little room', type: 'InsufficientSpace', to: 'server5@full' },
    { when: 'it is there already', type: 'SameBackEnd', to: source },
  ];
  for (const { when, type, volume, to, also } of migrations) {
    test(`a volume does not migrate when ${when}: ${type}`, async () => {
      const id = await putVolume(registry, volume);
      await also?.(id);
      const before = await findVolume(registry, id);
      await assert.rejects(
        claimVolume(registry, claimArguments(id, { destination: to ?? destination })),
        ferryError(type),
      );
      assert.deepEqual(await findVolume(registry, id), before);
    });
  }

  test('a volume with one writer and a reader migrates', async () => {
    const id = await putVolume(registry, { status: 'in-use' });
    await putAttachment(registry, id);
    await putAttachment(registry, id, { mode: 'ro' });
    assert.equal((await claimVolume(registry, claimArguments(id))).flow, 'generic-attached');
  });

  /** What a tenant or an administrator may try while the volume moves. */
  const operations: { name: string; of?: 'in-use'; begin: (id: string, attachmentId: string) => Promise<unknown> }[] = [
    { name: 'delete', begin: (id) => beginOperation(registry, 'delete', ticket(id)) },
    { name: 'force-delete', begin: (id) => beginOperation(registry, 'delete', { ...ticket(id), force: true }) },
    { name: 'snapshot', begin: (id) => beginSnapshot(registry, { ...ticket(id), snapshotId: randomUUID() }) },
    {
      name: 'forced snapshot',
      of: 'in-use',
      begin: (id) => beginSnapshot(registry, { ...ticket(id), snapshotId: randomUUID(), force: true }),
    },
    {
      name: 'snapshot deletion',
      begin: (id) => beginSnapshotDelete(registry, { ...ticket(id), snapshotId: randomUUID() }),
    },
    { name: 'another migration', begin: (id) => claimVolume(registry, claimArguments(id)) },
    { name: 'retype', begin: (id) => beginOperation(registry, 'retype', ticket(id)) },
    {
      name: 'attach',
      begin: (id) =>
        beginAttach(registry, { ...ticket(id), attachmentId: randomUUID(), instanceId: 'vm', computeHost: 'hv1' }),
    },
    {
      name: 'detach',
      of: 'in-use',
      begin: (id, attachmentId) => beginDetach(registry, { ...ticket(id), attachmentId }),
    },
    { name: 'extend', begin: (id) => beginExtend(registry, { ...ticket(id), sizeBytes: 2 * gib }) },
    {
      name: 'reset-state',
      begin: (id) => resetState(registry, { volumeId: id, status: 'available', abandon: 'somebody' }),
    },
  ];
  for (const { name, of, begin } of operations) {
    test(`while a volume migrates, ${name} is refused and changes nothing`, async () => {
      const id = await putVolume(registry, { status: of ?? 'available' });
      const attachmentId = of ? await putAttachment(registry, id) : '';
      const { claim } = await claimVolume(registry, claimArguments(id));
      await enterPhase(registry, claim, 'copying', 'migrating');
      const before = await findVolume(registry, id);
      await assert.rejects(begin(id, attachmentId), (error) => {
        ferryError('VolumeMigrating')(error);
        const { details } = error as { details: Record<string, unknown> };
        assert.equal(details['owner'], claim.owner);
        if (name !== 'another migration') {
          assert.equal(details['phase'], 'copying');
          assert.equal(details['since'], before.migrationSince?.toISOString());
        }
        return true;
      });
      assert.deepEqual(await findVolume(registry, id), before);
    });

    if (name === 'reset-state') continue;
    test(`while another operation is under way, ${name} is refused and changes nothing`, async () => {
      const id = await putVolume(registry, { status: of ?? 'available', ...busy });
      const attachmentId = of ? await putAttachment(registry, id) : '';
      const before = await findVolume(registry, id);
      await assert.rejects(begin(id, attachmentId), ferryError('VolumeBusy'));
      assert.deepEqual(await findVolume(registry, id), before);
    });

    if (name === 'another migration') continue;
    test(`${name} of a volume that is not there is refused`, async () => {
      await assert.rejects(begin(randomUUID(), randomUUID()), ferryError('VolumeNotFound'));
    });
  }

  test('while a volume migrates it may be renamed and described, as in Cinder', async () => {
    const id = await putVolume(registry);
    await claimVolume(registry, claimArguments(id));
    await describeVolume(registry, id, { name: 'new name', metadata: { a: 'b' } });
    const volume = await findVolume(registry, id);
    assert.deepEqual([volume.name, volume.metadata, volume.description], ['new name', { a: 'b' }, null]);
    assert.equal(volume.migrationStatus, 'starting');
  });

  const creations: { when: string; type: FerryErrorType; on: string; sizeBytes?: number }[] = [
    { when: 'the back end is not known', type: 'BackEndNotFound', on: 'server1@nowhere' },
    { when: 'the back end is disabled', type: 'BackEndDisabled', on: 'server3@disabled' },
    { when: 'the back end is down', type: 'BackEndDown', on: 'server6@silent' },
    { when: 'the back end has too little room', type: 'InsufficientSpace', on: destination, sizeBytes: 1000 * gib },
  ];
  for (const { when, type, on, sizeBytes } of creations) {
    test(`a volume is not created when ${when}: ${type}`, async () => {
      const id = randomUUID();
      await assert.rejects(
        beginCreate(registry, { ...ticket(id), tenantId: 't', sizeBytes: sizeBytes ?? gib, backEnd: on }),
        ferryError(type),
      );
      await assert.rejects(findVolume(registry, id), ferryError('VolumeNotFound'));
    });
  }

  const wrong: { name: string; row: Record<string, unknown> }[] = [
    { name: 'a claim without an owner', row: { migration_status: 'migrating' } },
    {
      name: 'a claim without an epoch',
      row: { migration_status: 'migrating', migration_owner: 'm', migration_since: new Date() },
    },
    {
      name: 'a claim and an operation at once',
      row: {
        ...busy,
        migration_status: 'migrating',
        migration_owner: 'm',
        migration_since: new Date(),
        migration_epoch: 1,
      },
    },
    { name: 'an operation without an owner', row: { operation: 'extend' } },
    { name: 'a status of transition that nobody is at', row: { status: 'attaching' } },
    { name: 'a back end that is not known', row: { host: 'server1@nowhere' } },
    { name: 'a size of nothing', row: { size_bytes: 0 } },
    { name: 'a size that is not whole sectors', row: { size_bytes: gib + 1 } },
    { name: 'a size above 64 TiB', row: { size_bytes: 65_536 * gib + 512 } },
    { name: 'an unknown status', row: { status: 'lost' } },
  ];
  for (const { name, row } of wrong) {
    test(`the database itself refuses ${name}`, async () => {
      await assert.rejects(putVolume(registry, row), /violates/);
    });
  }

  test('the database itself refuses two volumes on one device, and to delete a volume that has attachments or snapshots', async () => {
    const id = await putVolume(registry);
    await assert.rejects(putVolume(registry, { name_id: id }), /volumes_device/);
    await putAttachment(registry, id);
    await assert.rejects(registry.rows(noColumns, 'DELETE FROM volumes WHERE id = $1', [id]), /attachments/);
    const other = await putVolume(registry);
    await putSnapshot(registry, other);
    await assert.rejects(registry.rows(noColumns, 'DELETE FROM volumes WHERE id = $1', [other]), /snapshots/);
  });

  test('the database itself refuses a second running migration of a volume, and a success that was not switched', async () => {
    const volumeId = randomUUID();
    const row = {
      volume_id: volumeId,
      tenant_id: 't',
      requested_by: 'x',
      owner: 'x',
      source: 'a@b',
      destination: 'c@d',
      flow: 'generic-detached',
      phase: 'copying',
      phases: '[]',
      total_bytes: gib,
    };
    await put(registry, 'migrations', { ...row, id: randomUUID(), epoch: 1 });
    await assert.rejects(put(registry, 'migrations', { ...row, id: randomUUID(), epoch: 2 }), /migrations_running/);
    await assert.rejects(
      put(registry, 'migrations', {
        ...row,
        id: randomUUID(),
        epoch: 3,
        phase: 'finished',
        outcome: 'success',
        finished_at: new Date(),
      }),
      /success_means_switched/,
    );
  });
});
