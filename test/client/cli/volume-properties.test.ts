import assert from 'node:assert/strict';
import { test } from 'node:test';
import { volumeTable } from '../../../client/cli/list.ts';
import { propertyTable } from '../../../client/cli/table.ts';
import { pythonTime, volumeProperties } from '../../../client/cli/volume-properties.ts';
import { seedAttachment, seedVolume } from './sample-volume.ts';

test("a volume's table has the seed's properties, in its order and formats", () => {
  assert.equal(
    propertyTable(volumeProperties({ volume: seedVolume, attachments: [] }, true)),
    `
+--------------------------------+--------------------------------------+
| Property                       | Value                                |
+--------------------------------+--------------------------------------+
| attachments                    | []                                   |
| availability_zone              | zone1                                |
| bootable                       | False                                |
| created_at                     | 2013-09-01T14:53:22.000000           |
| display_description            | test                                 |
| display_name                   | test                                 |
| id                             | 6088f80a-f116-4331-ad48-9afb0dfb196c |
| metadata                       | {}                                   |
| os-vol-host-attr:host          | server1@lvmstorage-1                 |
| os-vol-mig-status-attr:migstat | None                                 |
| os-vol-mig-status-attr:name_id | None                                 |
| os-vol-tenant-attr:tenant_id   | 6bdd8f41203e4149b5d559769307365e     |
| size                           | 2                                    |
| snapshot_id                    | None                                 |
| source_volid                   | None                                 |
| status                         | in-use                               |
| volume_type                    | None                                 |
+--------------------------------+--------------------------------------+`.trim(),
  );
});

test('a tenant sees neither where the volume is nor that it moves', () => {
  const moving = {
    ...seedVolume,
    migrationStatus: 'migrating' as const,
    nameId: '133d1f56-9ffc-4f57-8798-d5217d851862',
  };
  const seen = volumeProperties({ volume: moving, attachments: [seedAttachment] }, false);
  const still = volumeProperties({ volume: seedVolume, attachments: [seedAttachment] }, false);
  assert.deepEqual(seen, still);
  assert.doesNotMatch(JSON.stringify(seen), /server1|migrat|133d1f56|hv1|never shown/);
  assert.doesNotMatch(volumeTable([moving], false), /server1|migrat/);
});

test('an attachment shows the instance and its device, and to administrators the hypervisor', () => {
  assert.deepEqual(volumeProperties({ volume: seedVolume, attachments: [seedAttachment] }, true)['attachments'], [
    { attachment_id: seedAttachment.id, server_id: 'vm-1', host_name: 'hv1', device: 'vda' },
  ]);
});

test('the list shows where volumes are and whether they move', () => {
  assert.equal(
    volumeTable([seedVolume], true),
    `
+--------------------------------------+--------+------+------+----------+----------------------------------+----------------------+-----------+
| ID                                   | Status | Name | Size | Bootable | Tenant                           | Host                 | Migration |
+--------------------------------------+--------+------+------+----------+----------------------------------+----------------------+-----------+
| 6088f80a-f116-4331-ad48-9afb0dfb196c | in-use | test | 2    | False    | 6bdd8f41203e4149b5d559769307365e | server1@lvmstorage-1 | None      |
+--------------------------------------+--------+------+------+----------+----------------------------------+----------------------+-----------+`.trim(),
  );
});

test('times have microseconds and no zone', () => {
  assert.equal(pythonTime(new Date('2013-09-01T14:53:22.007Z')), '2013-09-01T14:53:22.007000');
});
