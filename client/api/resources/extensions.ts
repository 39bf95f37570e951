import { call, type Call } from '../call.ts';
import { notFound } from '../fault.ts';

/** What Ferry has of Cinder's extensions, as Cinder describes them. Those of backups, groups, QoS and encryption are not among them. */
const extensions = (
  [
    ['VolumeUnmanage', 'os-volume-unmanage', 'Enable volume unmanage operation.', '2012-05-31T00:00:00+00:00'],
    [
      'UsedLimits',
      'os-used-limits',
      'Provide data on limited resources that are being used.',
      '2013-10-03T00:00:00+00:00',
    ],
    ['AdminActions', 'os-admin-actions', 'Enable admin actions.', '2012-08-25T00:00:00+00:00'],
    ['TypesExtraSpecs', 'os-types-extra-specs', 'Type extra specs support.', '2011-08-24T00:00:00+00:00'],
    [
      'VolumeEncryptionMetadata',
      'os-volume-encryption-metadata',
      'Volume encryption metadata retrieval support.',
      '2013-07-10T00:00:00+00:00',
    ],
    ['SnapshotActions', 'os-snapshot-actions', 'Enable snapshot manager actions.', '2013-07-16T00:00:00+00:00'],
    ['Quotas', 'os-quota-sets', 'Quota management support.', '2011-08-08T00:00:00+00:00'],
    ['VolumeActions', 'os-volume-actions', 'Enable volume actions.', '2012-05-31T00:00:00+00:00'],
    ['QuotaClasses', 'os-quota-class-sets', 'Quota classes management support.', '2012-03-12T00:00:00+00:00'],
    ['AvailabilityZones', 'os-availability-zone', 'Describe Availability Zones.', '2013-06-27T00:00:00+00:00'],
    ['VolumeTypeAccess', 'os-volume-type-access', 'Volume type access support.', '2014-06-26T00:00:00Z'],
    ['Services', 'os-services', 'Services support.', '2012-10-28T00:00:00-00:00'],
    ['Hosts', 'os-hosts', 'Admin-only host administration.', '2011-06-29T00:00:00+00:00'],
    ['TypesManage', 'os-types-manage', 'Types manage support.', '2011-08-24T00:00:00+00:00'],
    [
      'ExtendedSnapshotAttributes',
      'os-extended-snapshot-attributes',
      'Extended SnapshotAttributes support.',
      '2012-06-19T00:00:00+00:00',
    ],
    [
      'VolumeHostAttribute',
      'os-vol-host-attr',
      'Expose host as an attribute of a volume.',
      '2011-11-03T00:00:00+00:00',
    ],
    ['Scheduler_stats', 'scheduler-stats', 'Scheduler stats support.', '2014-09-07T00:00:00+00:00'],
    [
      'VolumeManage',
      'os-volume-manage',
      "Allows existing backend storage to be 'managed' by Cinder.",
      '2014-02-10T00:00:00+00:00',
    ],
    [
      'VolumeMigStatusAttribute',
      'os-vol-mig-status-attr',
      'Expose migration_status as an attribute of a volume.',
      '2013-08-08T00:00:00+00:00',
    ],
    ['VolumeTransfer', 'os-volume-transfer', 'Volume transfer management support.', '2013-05-29T00:00:00+00:00'],
    [
      'VolumeTenantAttribute',
      'os-vol-tenant-attr',
      'Expose the internal project_id as an attribute of a volume.',
      '2011-11-03T00:00:00+00:00',
    ],
    ['SchedulerHints', 'OS-SCH-HNT', 'Pass arbitrary key/value pairs to the scheduler.', '2013-04-18T00:00:00+00:00'],
    ['ExtendedServices', 'os-extended-services', 'Extended services support.', '2014-01-10T00:00:00-00:00'],
    ['Capabilities', 'capabilities', 'Capabilities support.', '2015-08-31T00:00:00+00:00'],
  ] as const
).map(([name, alias, description, updated]) => ({ name, alias, description, updated, links: [] }));

/** By what lists may be narrowed. */
const filters = {
  volume: [
    'name',
    'status',
    'metadata',
    'bootable',
    'migration_status',
    'availability_zone',
    'group_id',
    'size',
    'created_at',
    'updated_at',
    'consumes_quota',
  ],
  snapshot: ['name', 'status', 'volume_id', 'metadata', 'availability_zone', 'consumes_quota'],
  attachment: ['volume_id', 'status', 'instance_id', 'attach_status'],
  pool: ['name', 'volume_type'],
  volume_type: ['is_public', 'extra_specs'],
};

/** By what a tenant may narrow a list of volumes. */
export const volumeFilters: ReadonlySet<string> = new Set(filters.volume);

export const extensionCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/extensions',
    summary: "List what Ferry has of Cinder's extensions",
    rule: null,
    status: 200,
    handle: () => ({ body: { extensions } }),
  }),
  call({
    method: 'get',
    path: '/extensions/{alias}',
    summary: 'Show an extension',
    rule: null,
    status: 200,
    handle({ params }) {
      const extension = extensions.find(({ alias }) => alias === params['alias']);
      if (extension) return { body: { extension } };
      throw notFound('The resource could not be found.');
    },
  }),
  call({
    method: 'get',
    path: '/resource_filters',
    summary: 'By what lists may be narrowed',
    rule: null,
    since: 33,
    status: 200,
    handle({ query }) {
      const wanted = query.get('resource');
      const all = Object.entries(filters).map(([resource, names]) => ({ resource, filters: names }));
      return { body: { resource_filters: all.filter((each) => wanted === null || each.resource === wanted) } };
    },
  }),
];
