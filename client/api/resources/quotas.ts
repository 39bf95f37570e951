import * as z from 'zod';
import { tenantId } from '../../../model/ids.ts';
import { highestLimit, unlimited } from '../../../model/quota.ts';
import type { Quotas } from '../../quotas.ts';
import { call, type Asked, type Call } from '../call.ts';
import { badRequest, invalidInput, notFound } from '../fault.ts';
import { isTrue } from '../list-query.ts';

const change = z.object({ quota_set: z.record(z.string(), z.unknown()) });
const classChange = z.object({ quota_class_set: z.record(z.string(), z.unknown()) });

function limits(quotas: Quotas): Record<string, number> {
  return Object.fromEntries(Object.entries(quotas).map(([resource, { limit }]) => [resource, limit]));
}

function usage(quotas: Quotas): Record<string, object> {
  return Object.fromEntries(
    Object.entries(quotas).map(([resource, { limit, inUse, reserved }]) => [
      resource,
      { limit, in_use: inUse, reserved },
    ]),
  );
}

/** Whose quotas: 404 for what can be no project. */
function projectOf({ params }: Asked): string {
  const parsed = tenantId.safeParse(params['project']);
  if (!parsed.success) throw notFound(`Project ${params['project']} could not be found.`);
  return parsed.data;
}

/** Limits as they were sent: whole numbers, or their digits. What the quota itself is called may be sent along. */
function wanted(given: Record<string, unknown>, known: Quotas): Record<string, number> {
  const { tenant_id: _tenant, id: _id, class_name: _class, skip_validation: _skip, force: _force, ...sent } = given;
  const bad = Object.keys(sent).filter((resource) => !Object.hasOwn(known, resource));
  if (bad.length > 0) throw badRequest(`Bad key(s) in quota set: ${bad.join(', ')}`);
  return Object.fromEntries(Object.entries(sent).map(([resource, value]) => [resource, limitOf(resource, value)]));
}

function limitOf(resource: string, value: unknown): number {
  const limit = typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value;
  if (typeof limit !== 'number' || !Number.isInteger(limit))
    throw invalidInput(`Quota limit for ${resource} must be an integer.`);
  if (limit < unlimited) throw invalidInput(`Quota limit for ${resource} must be equal to or greater than -1.`);
  if (limit > highestLimit)
    throw invalidInput(`Quota limit for ${resource} must be less than or equal to ${highestLimit}.`);
  return limit;
}

function sameClass({ params }: Asked): string {
  if (params['name'] === 'default') return 'default';
  throw notFound(`Quota class ${params['name']} could not be found.`);
}

/** Quotas of projects, and the class `default`, which is what counts for all that have none of their own. */
export const quotaCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/os-quota-sets/{project}',
    summary: "Show a project's quotas, and with `usage` what it uses of them",
    rule: 'volume_extension:quotas:show',
    status: 200,
    async handle(asked) {
      const id = projectOf(asked);
      const quotas = await asked.ferry.showQuotas(id);
      const shown = isTrue(asked.query.get('usage')) ? usage(quotas) : limits(quotas);
      return { body: { quota_set: { ...shown, id } } };
    },
  }),
  call({
    method: 'put',
    path: '/os-quota-sets/{project}',
    summary: "Set a project's quotas",
    rule: 'volume_extension:quotas:update',
    status: 200,
    body: change,
    async handle(asked) {
      const id = projectOf(asked);
      const sent = wanted(asked.body.quota_set, await asked.admin.showQuotas(id));
      return { body: { quota_set: limits(await asked.admin.setQuotas(id, sent)) } };
    },
  }),
  call({
    method: 'delete',
    path: '/os-quota-sets/{project}',
    summary: 'Let the defaults count for a project',
    rule: 'volume_extension:quotas:delete',
    status: 200,
    async handle(asked) {
      await asked.admin.deleteQuotas(projectOf(asked));
      return {};
    },
  }),
  call({
    method: 'get',
    path: '/os-quota-sets/{project}/defaults',
    summary: 'Show the quotas of projects that have none of their own',
    rule: 'volume_extension:quotas:show',
    status: 200,
    async handle(asked) {
      const id = projectOf(asked);
      return { body: { quota_set: { ...limits(await asked.ferry.showDefaultQuotas()), id } } };
    },
  }),
  call({
    method: 'get',
    path: '/os-quota-class-sets/{name}',
    summary: 'Show the default quotas',
    rule: 'volume_extension:quota_classes:get',
    status: 200,
    async handle(asked) {
      const id = sameClass(asked);
      return { body: { quota_class_set: { ...limits(await asked.admin.showDefaultQuotas()), id } } };
    },
  }),
  call({
    method: 'put',
    path: '/os-quota-class-sets/{name}',
    summary: 'Set the default quotas',
    rule: 'volume_extension:quota_classes:update',
    status: 200,
    body: classChange,
    async handle(asked) {
      sameClass(asked);
      const sent = wanted(asked.body.quota_class_set, await asked.admin.showDefaultQuotas());
      return { body: { quota_class_set: limits(await asked.admin.setDefaultQuotas(sent)) } };
    },
  }),
  call({
    method: 'get',
    path: '/limits',
    summary: "Show the caller's project's limits, and what it uses of them",
    rule: null,
    status: 200,
    async handle(asked) {
      const quotas = await asked.ferry.showQuotas();
      const { volumes, snapshots, gigabytes, backups, backup_gigabytes: backupGigabytes } = quotas;
      return {
        body: {
          limits: {
            rate: [],
            absolute: {
              totalSnapshotsUsed: snapshots!.inUse,
              maxTotalBackups: backups!.limit,
              maxTotalVolumeGigabytes: gigabytes!.limit,
              maxTotalSnapshots: snapshots!.limit,
              maxTotalBackupGigabytes: backupGigabytes!.limit,
              totalBackupGigabytesUsed: backupGigabytes!.inUse,
              maxTotalVolumes: volumes!.limit,
              totalVolumesUsed: volumes!.inUse,
              totalBackupsUsed: backups!.inUse,
              totalGigabytesUsed: gigabytes!.inUse,
            },
          },
        },
      };
    },
  }),
];
