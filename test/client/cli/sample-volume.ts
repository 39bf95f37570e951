import type { Attachment, Volume } from '../../../model/volume.ts';
import { gib } from '../../../model/sizes.ts';

/** The seed's volume. */
export const seedVolume: Volume = {
  id: '6088f80a-f116-4331-ad48-9afb0dfb196c',
  tenantId: '6bdd8f41203e4149b5d559769307365e',
  name: 'test',
  description: 'test',
  sizeBytes: 2 * gib,
  status: 'in-use',
  host: 'server1@lvmstorage-1',
  nameId: null,
  generation: 0,
  deviceIdentity: null,
  previousStatus: null,
  userId: null,
  shownStatus: null,
  growingToBytes: null,
  readOnly: null,
  migrationStatus: null,
  migrationOwner: null,
  migrationEpoch: 0,
  migrationSince: null,
  operation: null,
  operationOwner: null,
  availabilityZone: 'zone1',
  volumeType: null,
  bootable: false,
  snapshotId: null,
  sourceVolumeId: null,
  metadata: {},
  createdAt: new Date('2013-09-01T14:53:22Z'),
  updatedAt: new Date('2013-09-01T14:53:22Z'),
};

export const seedAttachment: Attachment = {
  id: '2c1a1a4d-6f0e-4a55-8c43-0e6a6c2e6a01',
  volumeId: seedVolume.id,
  instanceId: 'vm-1',
  computeHost: 'hv1',
  device: 'vda',
  mode: 'rw',
  status: 'attached',
  connection: { secret: 'never shown' },
  attachedAt: new Date('2013-09-01T15:00:00Z'),
};
