import * as z from 'zod';
import type { Ferry } from '../../open-ferry.ts';
import { call, type Asked, type Call } from '../call.ts';
import { flag, metadata, text } from '../fields.ts';
import { badRequest, invalidInput, notFound, type Refusals } from '../fault.ts';
import { labelOf } from '../label.ts';
import { dictionaryOf, filtersRefused, isTrue, listQuery, nextLinks, type ListQuery } from '../list-query.ts';
import { presentSnapshot } from '../presenters/snapshot.ts';

const creation = z.object({
  snapshot: z.object({
    volume_id: z.guid().nullable(),
    name: text,
    display_name: text,
    description: text,
    display_description: text,
    force: flag.nullish(),
    metadata: metadata.nullish(),
  }),
});

const change = z.object({
  snapshot: z.object({ name: text, display_name: text, description: text, display_description: text }),
});

const refusals: Refusals = {
  VolumeMigrating: () => badRequest('Invalid volume: Snapshot cannot be created while volume is migrating.'),
};

type SnapshotQuery = NonNullable<Parameters<Ferry['listSnapshots']>[0]>;
type SortKey = NonNullable<SnapshotQuery['sort']>[number]['key'];

const sortKeys: Readonly<Record<string, SortKey>> = {
  id: 'id',
  name: 'name',
  display_name: 'name',
  description: 'description',
  status: 'status',
  volume_size: 'size',
  size: 'size',
  volume_id: 'volumeId',
  project_id: 'tenantId',
  user_id: 'userId',
  created_at: 'createdAt',
  updated_at: 'updatedAt',
};

async function list(asked: Asked, detailed: boolean) {
  const query = listQuery(asked.query);
  const filter = filterOf(asked, query);
  const after = query.marker === null ? {} : { after: query.marker };
  const sort = query.sort.map(
    ({ key, descending }) => ({ key: sortKeyOf(key), direction: descending ? 'desc' : 'asc' }) as const,
  );
  const page = { ...after, sort, offset: query.offset, limit: query.limit };
  const shown = filter === null || query.limit === 0 ? [] : await asked.ferry.listSnapshots({ ...filter, ...page });
  const href = `${asked.site.origin}/v3${asked.site.project}/${asked.path}`;
  const counted = query.withCount && asked.minor >= 45;
  return {
    body: {
      snapshots: shown.map((each) => presentSnapshot(each, { minor: asked.minor, extended: detailed })),
      ...nextLinks('snapshots', { href, query: asked.query, limit: query.limit, shown }),
      ...(counted && { count: filter === null ? 0 : await asked.ferry.countSnapshots(filter) }),
    },
  };
}

function sortKeyOf(key: string): SortKey {
  if (Object.hasOwn(sortKeys, key)) return sortKeys[key]!;
  throw invalidInput('Invalid sort key');
}

/** What of the snapshots is wanted; null when nothing can fit. */
function filterOf(asked: Asked, { filters }: ListQuery): SnapshotQuery | null {
  const everybodys = asked.isAdmin && isTrue(asked.query.get('all_tenants'));
  const filter: SnapshotQuery = everybodys ? {} : { tenantId: asked.caller.projectId };
  for (const [key, value] of filters) {
    if (key === 'name' || key === 'display_name') filter.name = value;
    else if (key === 'status') filter.status = value;
    else if (key === 'availability_zone') filter.availabilityZone = value;
    else if (key === 'volume_id') {
      if (!z.guid().safeParse(value).success) return null;
      filter.volumeId = value;
    } else if (key === 'metadata') {
      const wanted = dictionaryOf(value);
      if (wanted === null) return null;
      filter.metadata = wanted;
    } else if (key === 'project_id' && everybodys) filter.tenantId = value;
    else if (key === 'consumes_quota') {
      if (!isTrue(value)) return null;
    } else if (asked.isAdmin) return null;
    else if (asked.minor >= filtersRefused) throw badRequest(`Invalid filters ${key} are found in query options.`);
  }
  return filter;
}

export const snapshotCalls: readonly Call[] = [
  call({
    method: 'post',
    path: '/snapshots',
    summary: "Keep a volume's bytes as they are now",
    rule: 'volume:create_snapshot',
    status: 202,
    body: creation,
    refusals,
    async handle(asked) {
      const wanted = asked.body.snapshot;
      // From 3.66 on a volume in use needs no force, and to forbid what is always allowed makes no sense.
      const always = asked.minor >= 66;
      if (always && wanted.force === false)
        throw badRequest(
          "Invalid input received: 'force' parameter is deprecated and only 'true' is accepted from microversion 3.66 on",
        );
      if (wanted.volume_id === null) throw notFound('Volume None could not be found.');
      const { volume } = await asked.ferry.findVolume(wanted.volume_id);
      const made = await asked.ferry.createSnapshot({
        volumeId: volume.id,
        name: labelOf('name', wanted.name ?? wanted.display_name),
        description: labelOf('description', wanted.description ?? wanted.display_description),
        force: always || (wanted.force ?? false),
        ...(wanted.metadata ? { metadata: wanted.metadata } : {}),
      });
      return { body: { snapshot: presentSnapshot(made, { minor: asked.minor, extended: false }) } };
    },
  }),
  call({
    method: 'get',
    path: '/snapshots',
    summary: 'List snapshots',
    rule: 'volume:get_all_snapshots',
    status: 200,
    handle: (asked) => list(asked, false),
  }),
  call({
    method: 'get',
    path: '/snapshots/detail',
    summary: 'List snapshots with their projects',
    rule: 'volume:get_all_snapshots',
    status: 200,
    handle: (asked) => list(asked, true),
  }),
  call({
    method: 'get',
    path: '/snapshots/{id}',
    summary: 'Show a snapshot',
    rule: 'volume:get_snapshot',
    status: 200,
    async handle(asked) {
      const found = await asked.ferry.findSnapshot(asked.params['id']!);
      return { body: { snapshot: presentSnapshot(found, { minor: asked.minor, extended: true }) } };
    },
  }),
  call({
    method: 'put',
    path: '/snapshots/{id}',
    summary: 'Change what people call a snapshot',
    rule: 'volume:update_snapshot',
    status: 200,
    body: change,
    async handle(asked) {
      const wanted = asked.body.snapshot;
      const name = wanted.name === undefined ? wanted.display_name : wanted.name;
      const description = wanted.description === undefined ? wanted.display_description : wanted.description;
      const changed = await asked.ferry.describeSnapshot(asked.params['id']!, {
        ...(name === undefined ? {} : { name: labelOf('name', name) }),
        ...(description === undefined ? {} : { description: labelOf('description', description) }),
      });
      return { body: { snapshot: presentSnapshot(changed, { minor: asked.minor, extended: false }) } };
    },
  }),
  call({
    method: 'delete',
    path: '/snapshots/{id}',
    summary: 'Delete a snapshot',
    rule: 'volume:delete_snapshot',
    status: 202,
    async handle({ ferry, params }) {
      await ferry.deleteSnapshot((await ferry.findSnapshot(params['id']!)).id);
      return {};
    },
  }),
];
