import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { tenantId } from '../../model/ids.ts';
import { unlimited } from '../../model/quota.ts';
import type { Quotas } from '../quotas.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';

const limit = z.union([z.literal('unlimited'), z.coerce.number().int().min(unlimited)], {
  error: 'is neither a whole number nor "unlimited"',
});

/** `ferry quota`: how much a tenant may have. */
export function addQuota(program: Command): void {
  const quota = program.command('quota').description('how much tenants may have');
  quota
    .command('show')
    .description("a tenant's quotas, and what it uses of them; without a tenant, your own")
    .addArgument(tenantArgument())
    .option('--defaults', 'what counts for tenants that have no quotas of their own')
    .action((tenant: string | undefined, { defaults }: { defaults?: true }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const quotas = defaults ? await ferry.showDefaultQuotas() : await ferry.showQuotas(tenant);
        answer(inCindersWords(quotas), quotaTable(quotas));
      }),
    );
  quota
    .command('set')
    .description('set quotas of a tenant, or of all that have none of their own; what a tenant has already stays')
    .addArgument(tenantArgument())
    .option('--defaults', 'of all tenants that have none of their own')
    .option('--volumes <n>', 'how many volumes', checked('volumes', limit))
    .option('--snapshots <n>', 'how many snapshots', checked('snapshots', limit))
    .option('--gigabytes <n>', 'how many GiB, of volumes and snapshots', checked('gigabytes', limit))
    .option('--per-volume-gigabytes <n>', 'how many GiB a volume', checked('per-volume-gigabytes', limit))
    .option('--volume-type <name>', 'limit only volumes of that type')
    .action((tenant: string | undefined, o: SetOptions, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const limits = limitsOf(o);
        const quotas = o.defaults
          ? await ferry.setDefaultQuotas(limits)
          : await ferry.setQuotas(tenant ?? ferry.identity.tenant, limits);
        answer(inCindersWords(quotas), quotaTable(quotas));
      }),
    );
}

type Limit = z.infer<typeof limit>;

interface SetOptions {
  defaults?: true;
  volumes?: Limit;
  snapshots?: Limit;
  gigabytes?: Limit;
  perVolumeGigabytes?: Limit;
  volumeType?: string;
}

function tenantArgument(): Argument {
  return new Argument('[tenant]', 'the tenant').argParser(checked('tenant', tenantId));
}

function limitsOf({ volumes, snapshots, gigabytes, perVolumeGigabytes, volumeType }: SetOptions) {
  const given = { volumes, snapshots, gigabytes, per_volume_gigabytes: perVolumeGigabytes };
  const named = (resource: string) => (volumeType === undefined ? resource : `${resource}_${volumeType}`);
  return Object.fromEntries(
    Object.entries(given).flatMap(([resource, value]): [string, number][] =>
      value === undefined ? [] : [[named(resource), value === 'unlimited' ? unlimited : value]],
    ),
  );
}

function inCindersWords(quotas: Quotas): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(quotas).map(([resource, { limit: most, inUse, reserved }]) => [
      resource,
      { limit: most, in_use: inUse, reserved },
    ]),
  );
}

function quotaTable(quotas: Quotas): string {
  return table(
    ['Resource', 'In use', 'Reserved', 'Limit'],
    Object.entries(quotas).map(([resource, { limit: most, inUse, reserved }]) => [
      resource,
      String(inUse),
      String(reserved),
      most === unlimited ? 'unlimited' : String(most),
    ]),
  );
}
