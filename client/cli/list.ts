import { Option, type Command } from 'commander';
import { backEndName, tenantId } from '../../model/ids.ts';
import { sizeText } from '../../model/sizes.ts';
import { shownStatus, statusOf, type ShownStatus, type Volume } from '../../model/volume.ts';
import { isAdmin } from '../identity.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyText, table } from './table.ts';
import { volumeProperties } from './volume-properties.ts';

interface Options {
  host?: string;
  tenant?: string;
  status?: ShownStatus;
  name?: string;
  migrating?: true;
}

/** `ferry list`: the volumes that the caller may see. */
export function addList(program: Command): void {
  program
    .command('list')
    .description('list volumes, newest first')
    .addOption(new Option('--host <host>', 'only those on this back end').argParser(checked('host', backEndName)))
    .addOption(new Option('--tenant <tenant>', "only this tenant's").argParser(checked('tenant', tenantId)))
    .addOption(new Option('--status <status>', 'only those with this status').argParser(checked('status', shownStatus)))
    .option('--name <name>', 'only those of this name')
    .option('--migrating', 'only those that are being moved')
    .action((options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const { tenant, ...filter } = options;
        const volumes = await ferry.listVolumes({ ...filter, tenantId: tenant });
        const admin = isAdmin(ferry.identity);
        answer(
          volumes.map((volume) => volumeProperties({ volume }, admin)),
          volumeTable(volumes, admin),
        );
      }),
    );
}

export function volumeTable(volumes: readonly Volume[], admin: boolean): string {
  return table(
    ['ID', 'Status', 'Name', 'Size', 'Bootable', ...(admin ? ['Tenant', 'Host', 'Migration'] : [])],
    volumes.map((v) => [
      v.id,
      statusOf(v),
      v.name ?? '',
      sizeText(v.sizeBytes),
      propertyText(v.bootable),
      ...(admin ? [v.tenantId, v.host, propertyText(v.migrationStatus)] : []),
    ]),
  );
}
