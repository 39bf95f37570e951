import { volumeStatus } from '../../../model/volume.ts';
import type { Ferry } from '../../open-ferry.ts';
import type { Asked } from '../call.ts';
import { badRequest, invalidInput } from '../fault.ts';
import { dictionaryOf, filtersRefused, isTrue, listQuery, nextLinks, type ListQuery } from '../list-query.ts';
import { presentVolume, summarizeVolume } from '../presenters/volume.ts';
import { volumeFilters } from './extensions.ts';
import { withSurroundings } from './volume-view.ts';

type VolumeQuery = NonNullable<Parameters<Ferry['listVolumes']>[0]>;
type SortKey = NonNullable<VolumeQuery['sort']>[number]['key'];

const sortKeys: Readonly<Record<string, SortKey>> = {
  id: 'id',
  name: 'name',
  display_name: 'name',
  description: 'description',
  status: 'status',
  size: 'size',
  host: 'host',
  availability_zone: 'availabilityZone',
  volume_type: 'volumeType',
  volume_type_id: 'volumeType',
  bootable: 'bootable',
  migration_status: 'migrationStatus',
  project_id: 'tenantId',
  user_id: 'userId',
  created_at: 'createdAt',
  updated_at: 'updatedAt',
};

/** By what an administrator may narrow beside what everybody may; any other leaves nothing, as in Cinder. */
const adminFilters = new Set(['host', 'project_id', 'id', 'display_name', 'volume_type', 'no_migration_targets']);

/** One page of the volumes that fit, or of all. */
export async function listVolumes(asked: Asked, { detailed }: { detailed: boolean }) {
  const query = listQuery(asked.query);
  const filter = filterOf(asked, query);
  const after = query.marker === null ? {} : { after: query.marker };
  const sort = query.sort.map(
    ({ key, descending }) => ({ key: sortKeyOf(key), direction: descending ? 'desc' : 'asc' }) as const,
  );
  const page = { ...after, sort, offset: query.offset, limit: query.limit };
  const shown = filter === null || query.limit === 0 ? [] : await asked.ferry.listVolumes({ ...filter, ...page });
  const volumes = detailed
    ? (await withSurroundings(asked, shown)).map((each) => presentVolume(each, asked))
    : shown.map((each) => summarizeVolume(each, asked.site));
  const href = `${asked.site.origin}/v3${asked.site.project}/${asked.path}`;
  const count =
    query.withCount && asked.minor >= 45 ? { count: filter ? await asked.ferry.countVolumes(filter) : 0 } : {};
  return {
    body: { volumes, ...nextLinks('volumes', { href, query: asked.query, limit: query.limit, shown }), ...count },
  };
}

/** How many volumes there are that fit, and how large they are together. */
export async function summarizeVolumes(asked: Asked) {
  const filter = filterOf(asked, listQuery(asked.query));
  const volumes = filter === null ? [] : await asked.ferry.listVolumes(filter);
  const metadata: Record<string, string[]> = {};
  for (const [key, value] of volumes.flatMap((each) => Object.entries(each.metadata)))
    metadata[key] = [...new Set([...(metadata[key] ?? []), value])];
  return {
    body: {
      'volume-summary': {
        total_count: volumes.length,
        total_size: volumes.reduce((total, { sizeBytes }) => total + Math.ceil(sizeBytes / 1024 ** 3), 0),
        ...(asked.minor >= 36 && { metadata }),
      },
    },
  };
}

function sortKeyOf(key: string): SortKey {
  if (Object.hasOwn(sortKeys, key)) return sortKeys[key]!;
  throw invalidInput('Invalid sort key');
}

/** What of the volumes is wanted; null when nothing can fit. */
function filterOf(asked: Asked, { filters }: ListQuery): VolumeQuery | null {
  const everybodys = asked.isAdmin && isTrue(asked.query.get('all_tenants'));
  const filter: VolumeQuery = everybodys ? {} : { tenantId: asked.caller.projectId };
  const unknown = [...filters.keys()].filter(
    (key) => !volumeFilters.has(key) && !(asked.isAdmin && adminFilters.has(key)),
  );
  if (unknown.length > 0 && asked.isAdmin) return null;
  if (unknown.length > 0 && asked.minor >= filtersRefused)
    throw badRequest(`Invalid filters ${unknown.join(', ')} are found in query options.`);
  let possible = true;
  for (const [key, value] of filters) possible = apply(filter, key, value, everybodys) && possible;
  return possible ? filter : null;
}

/** Adds a condition; false when no volume can fulfil it. */
function apply(filter: VolumeQuery, key: string, value: string, everybodys: boolean): boolean {
  switch (key) {
    case 'name':
    case 'display_name':
      filter.name = value;
      return true;
    case 'status':
      filter.status = value as VolumeQuery['status'];
      return (
        volumeStatus.safeParse(value).success || value.includes('-') || value.includes('_') || value === 'managing'
      );
    case 'bootable':
      filter.bootable = isTrue(value);
      return true;
    case 'migration_status':
      Object.assign(filter, migrationFilter(value));
      return true;
    case 'availability_zone':
      filter.availabilityZone = value;
      return true;
    case 'volume_type':
      filter.volumeType = value;
      return true;
    case 'size':
      filter.sizeGib = Number(value);
      return /^\d{1,9}$/.test(value);
    case 'created_at':
      filter.createdAt = momentsOf(key, value);
      return true;
    case 'updated_at':
      filter.updatedAt = momentsOf(key, value);
      return true;
    case 'host':
      filter.host = value.split('#')[0]!;
      return true;
    case 'project_id':
      if (!everybodys) return filter.tenantId === value;
      filter.tenantId = value;
      return true;
    case 'metadata': {
      const wanted = dictionaryOf(value);
      if (wanted) filter.metadata = wanted;
      return wanted !== null;
    }
    case 'consumes_quota':
      return isTrue(value);
    case 'group_id':
    case 'id':
      return false;
    default:
      return true;
  }
}

/** What is shown as `migration_status`: where one is that runs, or how the last one ended. */
function migrationFilter(value: string): VolumeQuery {
  if (value === 'success' || value === 'error') return { migrationStatus: null, lastOutcome: value };
  return { migrationStatus: /^none$/i.test(value) ? null : value };
}

const comparison = /^(?:(gt|gte|lt|lte|eq|neq):)?(.+)$/;

/** `gt:2020-01-01T00:00:00`, several with commas between. UTC where no zone is said. */
function momentsOf(key: string, value: string): NonNullable<VolumeQuery['createdAt']> {
  return value.split(',').map((part) => {
    const [, is = 'eq', time = ''] = comparison.exec(part.trim()) ?? [];
    const at = new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(time) ? time : `${time}Z`);
    if (Number.isNaN(at.getTime())) throw badRequest(`Invalid value for ${key}: ${time} is not a time`);
    return { is: is as 'eq', at };
  });
}
