import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { gib } from '../../model/sizes.ts';
import { beginManage, failManage, finishManage, finishUnmanage } from '../../registry/adoption.ts';
import { beginOperation } from '../../registry/operations.ts';
import { setQuotas } from '../../registry/quotas.ts';
import { findVolume } from '../../registry/volumes.ts';
import { createVolumeType } from '../../registry/volume-types.ts';
import { testRegistry } from './database.ts';
import { anOwner, ferryError, putBackEnd, source } from './world.ts';

describe('a device that is made a volume', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, source, {});
  });
  const adopted = (more: Partial<Parameters<typeof beginManage>[1]> = {}) => ({
    volumeId: randomUUID(),
    owner: anOwner('manage'),
    tenantId: 'tenant-1',
    sizeBytes: gib,
    backEnd: source,
    ...more,
  });

  test('may bring what it was elsewhere: its name_id, type, metadata, and more than its tenant may have', async () => {
    const { name: volumeType } = await createVolumeType(registry, { name: 'fast', description: null, extraSpecs: {} });
    const [nameId, tenantId, metadata] = [randomUUID(), 'tenant-2', { role: 'web' }];
    await setQuotas(registry, tenantId, { volumes: 0 });
    const wanted = adopted({ nameId, volumeType, metadata, tenantId, readOnly: true, beyondQuota: true });
    await beginManage(registry, wanted);
    await finishManage(registry, wanted);
    const found = await findVolume(registry, wanted.volumeId);
    assert.deepEqual(
      [found.nameId, found.volumeType, found.metadata, found.readOnly, found.status],
      [nameId, volumeType, metadata, true, 'available'],
    );
    await assert.rejects(beginManage(registry, adopted({ volumeType: 'none' })), ferryError('VolumeTypeNotFound'));
  });

  test('a failed attempt may be made again under its id; what was a volume once is not another', async () => {
    const first = adopted();
    await beginManage(registry, first);
    await failManage(registry, { ...first, reason: { type: 'DeviceInUse', message: 'it is in use' } });
    const second = { ...first, owner: anOwner('manage') };
    await beginManage(registry, second);
    await finishManage(registry, second);
    const gone = { volumeId: first.volumeId, owner: anOwner('unmanage') };
    await beginOperation(registry, 'unmanage', gone);
    await finishUnmanage(registry, gone);
    const third = { ...first, owner: anOwner('manage') };
    await assert.rejects(beginManage(registry, third), ferryError('InvalidInput'));
  });
});
