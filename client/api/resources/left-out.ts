import * as z from 'zod';
import { call, type Call } from '../call.ts';
import { notFound, notImplemented } from '../fault.ts';

/**
 * What Ferry does not have. Lists are empty, so that tools which look at everything go on; one of that id is not there; whoever would
 * make one is told that Ferry does not, where Cinder would say "begun" and fail later.
 */
interface LeftOut {
  /** The list's path, and its name in the answer. */
  path: string;
  list: string;
  /** One of them, as Cinder's 404 calls it. */
  one: string;
  rule: string | null;
  /** The rule to make one; null: nobody makes them by this path. */
  making: string | null;
  since?: number;
}

const leftOut: readonly LeftOut[] = [
  { path: '/backups', list: 'backups', one: 'Backup', rule: 'backup:get_all', making: 'backup:create' },
  { path: '/groups', list: 'groups', one: 'Group', rule: 'group:get_all', making: 'group:create', since: 13 },
  {
    path: '/group_types',
    list: 'group_types',
    one: 'Group type',
    rule: null,
    making: 'group:group_types:create',
    since: 11,
  },
  {
    path: '/group_snapshots',
    list: 'group_snapshots',
    one: 'GroupSnapshot',
    rule: 'group:get_all_group_snapshots',
    making: 'group:create_group_snapshot',
    since: 14,
  },
  {
    path: '/consistencygroups',
    list: 'consistencygroups',
    one: 'ConsistencyGroup',
    rule: 'group:get_all',
    making: 'group:create',
  },
  {
    path: '/cgsnapshots',
    list: 'cgsnapshots',
    one: 'CgSnapshot',
    rule: 'group:get_all_group_snapshots',
    making: 'group:create_group_snapshot',
  },
  {
    path: '/qos-specs',
    list: 'qos_specs',
    one: 'QoS specs',
    rule: 'volume_extension:qos_specs_manage:get_all',
    making: 'volume_extension:qos_specs_manage:create',
  },
  { path: '/clusters', list: 'clusters', one: 'Cluster', rule: 'clusters:get_all', making: null, since: 7 },
  { path: '/messages', list: 'messages', one: 'Message', rule: 'message:get_all', making: null, since: 3 },
  { path: '/default-types', list: 'default_types', one: 'Default type', rule: null, making: null, since: 62 },
];

function callsOf({ path, list, one, rule, making, since = 0 }: LeftOut): Call[] {
  const name = list.replaceAll('_', ' ');
  const empty = () => ({ body: { [list]: [] } });
  const missing = ({ params }: { params: Readonly<Record<string, string>> }) => {
    throw notFound(`${one} ${params['id']} could not be found.`);
  };
  const has = { status: 200, since } as const;
  return [
    call({ ...has, method: 'get', path, summary: `List ${name}: there are none`, rule, handle: empty }),
    call({
      ...has,
      method: 'get',
      path: `${path}/detail`,
      summary: `List ${name}: there are none`,
      rule,
      handle: empty,
    }),
    call({ ...has, method: 'get', path: `${path}/{id}`, summary: 'None is there', rule, handle: missing }),
    call({
      ...has,
      method: 'delete',
      path: `${path}/{id}`,
      summary: 'None is there',
      rule: making ?? rule,
      handle: missing,
    }),
    ...(making === null
      ? []
      : [
          call({
            ...has,
            method: 'post',
            path,
            summary: `Ferry has no ${name}`,
            rule: making,
            body: z.unknown(),
            handle() {
              throw notImplemented(`Ferry has no ${name}.`);
            },
          }),
        ]),
  ];
}

export const leftOutCalls: readonly Call[] = [
  ...leftOut.flatMap(callsOf),
  call({
    method: 'post',
    path: '/types/{id}/encryption',
    summary: 'Ferry does not encrypt volumes',
    rule: 'volume_extension:volume_type_encryption:create',
    status: 200,
    body: z.unknown(),
    async handle({ ferry, params }) {
      await ferry.findVolumeType(params['id']!);
      throw notImplemented('Ferry does not encrypt volumes.');
    },
  }),
  call({
    method: 'post',
    path: '/workers/cleanup',
    summary: 'Ferry cleans up by itself',
    rule: 'workers:cleanup',
    since: 24,
    status: 202,
    body: z.unknown(),
    handle: () => ({ body: { cleaning: [], unavailable: [] } }),
  }),
];
