import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { FerryErrorType } from '../../model/errors.ts';
import { beginAttach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginDelete, finishDelete } from '../../registry/creation.ts';
import { beginExtend } from '../../registry/extension.ts';
import { beginOperation } from '../../registry/operations.ts';
import { setQuotas } from '../../registry/quotas.ts';
import { resetState } from '../../registry/reset-state.ts';
import { reserve, setReadOnly } from '../../registry/reservations.ts';
import { retypeInPlace } from '../../registry/retype.ts';
import { beginSnapshot, findSnapshot } from '../../registry/snapshots.ts';
import {
  acceptTransfer,
  createTransfer,
  deleteTransfer,
  findTransfer,
  listTransfers,
} from '../../registry/transfers.ts';
import { addTypeAccess } from '../../registry/volume-type-access.ts';
import { createVolumeType } from '../../registry/volume-types.ts';
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

describe('a transfer', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry({ maxConnections: 10 });
    for (const name of [source, destination]) await putBackEnd(registry, name);
  });

  const giver = 'tenant-1';
  const offer = (volumeId: string, more: { noSnapshots?: boolean; tenantId?: string } = {}) =>
    createTransfer(registry, {
      id: randomUUID(),
      volumeId,
      name: 'offer',
      noSnapshots: false,
      keySalt: 'salt',
      keyHash: 'hash',
      ...more,
    });
  const take = (id: string, tenantId = 'taker', opens = true) =>
    acceptTransfer(registry, {
      id,
      tenantId,
      userId: 'someone',
      opens: ({ salt, hash }) => opens && salt === 'salt' && hash === 'hash',
    });
  const ticket = (volumeId: string) => ({ volumeId, owner: anOwner('operation') });
  const volume = (id: string) => findVolume(registry, id);

  test('gives a volume with its snapshots to whoever knows the key', async () => {
    const volumeId = await putVolume(registry);
    const snapshotId = await putSnapshot(registry, volumeId);
    const made = await offer(volumeId);
    assert.equal((await volume(volumeId)).status, 'awaiting-transfer');
    assert.deepEqual(await listTransfers(registry, { tenantId: giver }), [made]);
    assert.deepEqual(await findTransfer(registry, made.id, { tenantId: giver }), made);
    await take(made.id);
    const taken = await volume(volumeId);
    assert.deepEqual([taken.status, taken.tenantId, taken.userId], ['available', 'taker', 'someone']);
    assert.equal((await findSnapshot(registry, snapshotId)).tenantId, 'taker');
    await assert.rejects(findTransfer(registry, made.id), ferryError('TransferNotFound'));
    await assert.rejects(take(made.id), ferryError('TransferNotFound'));
  });

  test('leaves the snapshots where that was said', async () => {
    const volumeId = await putVolume(registry);
    const snapshotId = await putSnapshot(registry, volumeId);
    await take((await offer(volumeId, { noSnapshots: true })).id);
    assert.equal((await findSnapshot(registry, snapshotId)).tenantId, giver);
  });

  test('is the giver’s business only', async () => {
    const volumeId = await putVolume(registry);
    await assert.rejects(offer(volumeId, { tenantId: 'other' }), ferryError('VolumeNotFound'));
    const { id } = await offer(volumeId, { tenantId: giver });
    const other = { tenantId: 'other' };
    assert.deepEqual(await listTransfers(registry, other), []);
    await assert.rejects(findTransfer(registry, id, other), ferryError('TransferNotFound'));
    await assert.rejects(deleteTransfer(registry, id, other), ferryError('TransferNotFound'));
    await assert.rejects(findTransfer(registry, 'nonsense'), ferryError('TransferNotFound'));
  });

  test('changes nothing for a wrong key', async () => {
    const volumeId = await putVolume(registry);
    const { id } = await offer(volumeId);
    await assert.rejects(take(id, 'taker', false), ferryError('WrongTransferKey'));
    assert.deepEqual(
      [(await volume(volumeId)).status, (await volume(volumeId)).tenantId],
      ['awaiting-transfer', giver],
    );
    await take(id);
  });

  test('is withdrawn, and then the volume is available again', async () => {
    const volumeId = await putVolume(registry);
    const { id } = await offer(volumeId);
    await deleteTransfer(registry, id);
    assert.equal((await volume(volumeId)).status, 'available');
    await assert.rejects(deleteTransfer(registry, id), ferryError('TransferNotFound'));
    await offer(volumeId);
  });

  test('is of available, detached, free volumes only', async () => {
    const busy = await putVolume(registry);
    await beginOperation(registry, 'delete', ticket(busy));
    const moving = await putVolume(registry);
    await claimVolume(registry, claimArguments(moving));
    const attached = await putVolume(registry, { status: 'in-use' });
    await putAttachment(registry, attached);
    const kept = await putVolume(registry);
    await reserve(registry, { volumeId: kept });
    const broken = await putVolume(registry, { status: 'error' });
    const given = await putVolume(registry);
    await offer(given);
    const refused: [string, FerryErrorType][] = [
      [busy, 'VolumeBusy'],
      [moving, 'VolumeMigrating'],
      [attached, 'VolumeStatusRefused'],
      [kept, 'VolumeStatusRefused'],
      [broken, 'VolumeStatusRefused'],
      [given, 'VolumeStatusRefused'],
    ];
    for (const [id, type] of refused) await assert.rejects(offer(id), ferryError(type));
  });

  test('lets nothing else begin meanwhile', async () => {
    const volumeId = await putVolume(registry);
    await createVolumeType(registry, { name: 'any', description: null, extraSpecs: {} });
    await offer(volumeId);
    const t = ticket(volumeId);
    const attach = { attachmentId: randomUUID(), instanceId: 'i', computeHost: 'hv1' };
    const begins: (() => Promise<unknown>)[] = [
      () => beginDelete(registry, t),
      () => beginExtend(registry, { ...t, sizeBytes: 2 ** 32 }),
      () => beginSnapshot(registry, { ...t, snapshotId: randomUUID() }),
      () => beginSnapshot(registry, { ...t, snapshotId: randomUUID(), force: true }),
      () => retypeInPlace(registry, { ...t, volumeType: 'any' }),
      () => beginAttach(registry, { ...t, ...attach }),
      () => beginOperation(registry, 'unmanage', t),
      () => claimVolume(registry, claimArguments(volumeId)),
      () => reserve(registry, { volumeId }),
      () => setReadOnly(registry, { volumeId, readOnly: true }),
    ];
    for (const begin of begins) await assert.rejects(begin(), ferryError('VolumeStatusRefused'));
    assert.equal((await volume(volumeId)).status, 'awaiting-transfer');
  });

  test('ends with the volume, or with its status when that is set by hand', async () => {
    const forced = await putVolume(registry);
    const first = await offer(forced);
    const t = ticket(forced);
    await beginDelete(registry, { ...t, force: true });
    await assert.rejects(take(first.id), ferryError('VolumeBusy'));
    await finishDelete(registry, t);
    await assert.rejects(findTransfer(registry, first.id), ferryError('TransferNotFound'));

    const reset = await putVolume(registry);
    const second = await offer(reset);
    await resetState(registry, { volumeId: reset, status: 'available' });
    await assert.rejects(take(second.id), ferryError('TransferNotFound'));
    assert.equal((await volume(reset)).tenantId, giver);
  });

  test('is refused to who may not have so much, or not of that type, and stands', async () => {
    const type = await createVolumeType(registry, { name: 'own', description: null, extraSpecs: {}, isPublic: false });
    await addTypeAccess(registry, type, 'poor');
    await setQuotas(registry, 'poor', { volumes: 0 });
    const { id } = await offer(await putVolume(registry, { volume_type: 'own' }));
    await assert.rejects(take(id, 'stranger'), ferryError('VolumeTypeNotFound'));
    await assert.rejects(take(id, 'poor'), ferryError('QuotaExceeded'));
    await setQuotas(registry, 'poor', { volumes: 1, snapshots: 0 });
    await take(id, 'poor');
    const withSnapshot = await putVolume(registry);
    await putSnapshot(registry, withSnapshot);
    await setQuotas(registry, 'poor', { volumes: 2 });
    const second = await offer(withSnapshot);
    await assert.rejects(take(second.id, 'poor'), ferryError('QuotaExceeded'));
  });

  test('has one taker, whoever asks at the same time, and none once it is withdrawn', async () => {
    const volumeId = await putVolume(registry);
    const { id } = await offer(volumeId);
    const asked = await Promise.allSettled([
      ...['a', 'b', 'c', 'd'].map((tenant) => take(id, tenant)),
      deleteTransfer(registry, id),
    ]);
    assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal((await volume(volumeId)).status, 'available');
  });
});
