import * as z from 'zod';
import { tenantId as tenantIdSchema } from '../model/ids.ts';
import {
  highestLimit,
  nothing,
  quotaResources,
  quotaUsage,
  typeQuota,
  typeQuotaResources,
  unlimited,
  type QuotaUsage,
} from '../model/quota.ts';
import { FerryError } from '../model/errors.ts';
import { deleteQuotas, quotaDefaults, quotaLimits, setQuotas, tenantUse } from '../registry/quotas.ts';
import { listVolumeTypes } from '../registry/volume-types.ts';
import type { Context } from './context.ts';
import { isAdmin, requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

const limit = z
  .number({ error: 'is not a whole number' })
  .int('is not a whole number')
  .min(unlimited, `is below ${unlimited}, which stands for no limit`)
  .max(highestLimit, 'is too high');
const change = z.record(z.string(), limit);
const ofTenant = z.object({ tenantId: tenantIdSchema });

/** Limits by name, with what is used of them. */
export type Quotas = Record<string, QuotaUsage>;

/** How much tenants may have, and have. -1: as much as they like. Everybody sees the own tenant's; administrators all, and set them. */
export function quotaCommands({ registry, identity }: Context) {
  const typeNames = async () => (await listVolumeTypes(registry)).map(({ name }) => name);

  const ownOrAdmin = (tenant: string) => {
    if (tenant !== identity.tenant) requireAdmin(identity, "see other tenants' quotas");
  };

  const show = async (tenant: string): Promise<Quotas> =>
    quotaUsage(await quotaLimits(registry, tenant), await tenantUse(registry, tenant), await visibleTypes());

  /** Those that the caller may see. */
  const visibleTypes = async () => {
    if (isAdmin(identity)) return typeNames();
    return (await listVolumeTypes(registry, { tenantId: identity.tenant })).map(({ name }) => name);
  };

  const showDefaults = async (): Promise<Quotas> =>
    quotaUsage(await quotaDefaults(registry), { total: nothing, types: {} }, await visibleTypes());

  const checked = async (limits: z.input<typeof change>) => {
    const given = parseInput(change, limits);
    const types = await typeNames();
    const known = new Set<string>([
      ...quotaResources,
      ...types.flatMap((type) => typeQuotaResources.map((resource) => typeQuota(resource, type))),
    ]);
    const unknown = Object.keys(given).filter((resource) => !known.has(resource));
    if (unknown.length === 0) return given;
    throw new FerryError('InvalidInput', `${unknown.join(', ')}: is not what a quota limits.`, { fields: unknown });
  };

  return {
    /** A tenant's quotas with what it uses; the caller's own, if none is given. */
    async showQuotas(tenant: string = identity.tenant): Promise<Quotas> {
      const { tenantId } = parseInput(ofTenant, { tenantId: tenant });
      ownOrAdmin(tenantId);
      return show(tenantId);
    },

    /** Sets limits of a tenant; the others stay. What it has already stays too, even if that is more. */
    async setQuotas(tenant: string, limits: z.input<typeof change>): Promise<Quotas> {
      requireAdmin(identity, 'set quotas');
      const { tenantId } = parseInput(ofTenant, { tenantId: tenant });
      await setQuotas(registry, tenantId, await checked(limits));
      return show(tenantId);
    },

    /** The limits that count for all tenants without their own. */
    showDefaultQuotas: showDefaults,

    async setDefaultQuotas(limits: z.input<typeof change>): Promise<Quotas> {
      requireAdmin(identity, 'set quotas');
      await setQuotas(registry, null, await checked(limits));
      return showDefaults();
    },

    /** The tenant has no limits of its own any more. */
    async deleteQuotas(tenant: string): Promise<void> {
      requireAdmin(identity, 'set quotas');
      const { tenantId } = parseInput(ofTenant, { tenantId: tenant });
      await deleteQuotas(registry, tenantId);
    },
  };
}
