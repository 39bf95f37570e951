import * as z from 'zod';
import { gib } from '../../../model/sizes.ts';
import { call, type Asked, type Call } from '../call.ts';
import { text } from '../fields.ts';
import { badRequest, notFound } from '../fault.ts';
import { isTrue } from '../list-query.ts';
import { presentCapabilities, presentHost, presentPool, presentService } from '../presenters/back-end.ts';

const binary = 'cinder-volume';
const named = z.object({ host: z.string(), binary: text, service: text });
const withReason = named.extend({ disabled_reason: z.string() });

const hostOf = (given: string) => given.split('#')[0]!;

async function backEnds({ admin }: Asked) {
  return (await admin.listBackEnds()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The back end that a call about services names, if there is one. */
async function serviceOf(asked: Asked<z.output<typeof named>>): Promise<string> {
  const wanted = asked.body.binary ?? asked.body.service ?? binary;
  const host = asked.body.host;
  const found = (await backEnds(asked)).find(({ name }) => name === hostOf(host));
  if (found && wanted === binary) return found.name;
  throw notFound(`Service ${wanted} could not be found on host ${host}.`);
}

const updating = { rule: 'volume_extension:services:update', status: 200 } as const;

export const serviceCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/os-services',
    summary: 'List back ends as services',
    rule: 'volume_extension:services:index',
    status: 200,
    async handle(asked) {
      const host = asked.query.get('host');
      const wanted = asked.query.get('binary');
      if (wanted !== null && wanted !== binary) return { body: { services: [] } };
      // As in Cinder, a host without a back end means all on it.
      const fits = (name: string) => host === null || name === hostOf(host) || name.startsWith(`${host}@`);
      const found = (await backEnds(asked)).filter(({ name }) => fits(name));
      return { body: { services: found.map((each) => presentService(each, asked.minor)) } };
    },
  }),
  call({
    ...updating,
    method: 'put',
    path: '/os-services/enable',
    summary: 'Volumes may be placed on the back end again',
    body: named,
    async handle(asked) {
      const host = await serviceOf(asked);
      await asked.admin.enableBackEnd(host);
      return {
        body: { host: asked.body.host, service: binary, binary, disabled: false, status: 'enabled' },
      };
    },
  }),
  call({
    ...updating,
    method: 'put',
    path: '/os-services/disable',
    summary: 'No more volumes are placed on the back end',
    body: named,
    async handle(asked) {
      const host = await serviceOf(asked);
      await asked.admin.disableBackEnd(host);
      return { body: { host: asked.body.host, service: binary, binary, disabled: true, status: 'disabled' } };
    },
  }),
  call({
    ...updating,
    method: 'put',
    path: '/os-services/disable-log-reason',
    summary: 'No more volumes are placed on the back end, and why',
    body: withReason,
    async handle(asked) {
      const reason = asked.body.disabled_reason.trim();
      if (reason === '' || reason.length > 255)
        throw badRequest('Disabled reason contains invalid characters or is too long');
      const host = await serviceOf(asked);
      await asked.admin.disableBackEnd(host, reason);
      return {
        body: {
          host: asked.body.host,
          service: binary,
          binary,
          disabled: true,
          status: 'disabled',
          disabled_reason: reason,
        },
      };
    },
  }),
  ...(['freeze', 'thaw'] as const).map((what) =>
    call({
      method: 'put',
      path: `/os-services/${what}`,
      summary: 'Ferry freezes nothing: disable the back end instead',
      rule: `volume:${what}_host`,
      status: 200,
      body: named,
      async handle(asked) {
        const host = asked.body.host;
        if (!(await backEnds(asked)).some(({ name }) => name === hostOf(host)))
          throw badRequest(`Invalid host: Service cinder-volume could not be found on host ${host}.`);
        if (what === 'thaw') return {};
        throw badRequest(`Invalid host: Ferry does not freeze ${host}. To keep new volumes off it, disable it.`);
      },
    }),
  ),
  call({
    ...updating,
    method: 'put',
    path: '/os-services/get-log',
    summary: 'The levels at which services log: Ferry has them in its configuration',
    since: 32,
    body: z.object({ binary: text, server: text, prefix: text }),
    handle: () => ({ body: { log_levels: [] } }),
  }),
  call({
    ...updating,
    method: 'put',
    path: '/os-services/set-log',
    summary: 'The levels at which services log: Ferry has them in its configuration',
    since: 32,
    body: z.object({ binary: text, server: text, prefix: text, level: text }),
    handle() {
      throw badRequest('The level at which Ferry logs is set by its configuration ("logLevel").');
    },
  }),
  call({
    method: 'get',
    path: '/os-hosts',
    summary: 'List back ends as hosts',
    rule: 'volume_extension:hosts',
    status: 200,
    async handle(asked) {
      const zone = asked.query.get('zone');
      const found = (await backEnds(asked)).filter((each) => zone === null || each.availabilityZone === zone);
      return { body: { hosts: found.map(presentHost) } };
    },
  }),
  call({
    method: 'get',
    path: '/os-hosts/{host}',
    summary: 'What is on a back end, in all and a project',
    rule: 'volume_extension:hosts',
    status: 200,
    async handle(asked) {
      const host = asked.params['host']!;
      const found = (await backEnds(asked)).find(({ name }) => name === hostOf(host));
      if (!found) throw notFound(`Host ${host} could not be found.`);
      const usage = await asked.admin.usageOf(found.name);
      const row = (project: string, of: typeof usage) => ({
        resource: {
          host,
          project,
          volume_count: String(sum(of, 'volumes')),
          total_volume_gb: String(Math.ceil(sum(of, 'volumeBytes') / gib)),
          snapshot_count: String(sum(of, 'snapshots')),
          total_snapshot_gb: String(Math.ceil(sum(of, 'snapshotBytes') / gib)),
        },
      });
      return { body: { host: [row('(total)', usage), ...usage.map((each) => row(each.tenantId, [each]))] } };
    },
  }),
  call({
    method: 'get',
    path: '/scheduler-stats/get_pools',
    summary: 'List the pools of back ends: each has one',
    rule: 'scheduler_extension:scheduler_stats:get_pools',
    status: 200,
    async handle(asked) {
      const detail = isTrue(asked.query.get('detail'));
      const wanted = asked.query.get('name');
      const found = (await backEnds(asked)).filter(({ name }) => wanted === null || hostOf(wanted) === name);
      const pools = await Promise.all(
        found.map(async (each) => {
          const usage = detail ? await asked.admin.usageOf(each.name) : [];
          return presentPool({ ...each, promisedBytes: sum(usage, 'volumeBytes') }, { detail });
        }),
      );
      return { body: { pools } };
    },
  }),
  call({
    method: 'get',
    path: '/capabilities/{host}',
    summary: 'What a back end says of itself',
    rule: 'volume_extension:capabilities',
    status: 200,
    async handle(asked) {
      const host = asked.params['host']!;
      const found = (await backEnds(asked)).find(({ name }) => name === hostOf(host));
      if (!found) throw notFound(`Service cinder-volume could not be found on host ${host}.`);
      return { body: presentCapabilities(found) };
    },
  }),
  call({
    method: 'get',
    path: '/os-availability-zone',
    summary: 'List the zones of back ends',
    rule: null,
    status: 200,
    async handle(asked) {
      const all = await backEnds(asked);
      const zones = [...new Set(all.map(({ availabilityZone }) => availabilityZone))].toSorted();
      const available = (zone: string) => all.some((each) => each.availabilityZone === zone && !each.disabled);
      return {
        body: {
          availabilityZoneInfo: zones.map((zone) => ({ zoneName: zone, zoneState: { available: available(zone) } })),
        },
      };
    },
  }),
];

function sum<Key extends string>(of: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return of.reduce((total, each) => total + each[key], 0);
}
