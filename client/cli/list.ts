import { Option, type Command } from 'commander';
import * as z from 'zod';
import { backEndName, tenantId } from '../../model/ids.ts';
import { sizeText } from '../../model/sizes.ts';
import { shownStatus, statusOf, type ShownStatus, type Volume } from '../../model/volume.ts';
import { isAdmin } from '../identity.ts';
import { checked } from './arguments.ts';
import { addListOptions, listing, terminalWidth, type Column, type ListOptions } from './listing.ts';
import { withFerry } from './session.ts';
import { propertyText } from './table.ts';
import { volumeProperties } from './volume-properties.ts';

interface Options extends ListOptions {
  sort?: z.output<typeof sorting>;
  host?: string;
  tenant?: string;
  status?: ShownStatus;
  name?: string;
  migrating?: true;
}

const sortKeys = ['name', 'status', 'size', 'host', 'created'] as const;

/** `size`, `host:asc`. */
const sorting = z
  .string()
  .regex(new RegExp(`^(${sortKeys.join('|')})(:(asc|desc))?$`), `is none of ${sortKeys.join(', ')}, with :asc or :desc`)
  .transform((text) => {
    const [key, direction] = text.split(':') as [(typeof sortKeys)[number], 'asc' | 'desc' | undefined];
    return [{ key: key === 'created' ? 'createdAt' : key, direction: direction ?? 'asc' } as const];
  });

/** `ferry list`: the volumes that the caller may see. */
export function addList(program: Command): void {
  const list = program.command('list').description('list volumes, newest first');
  addListOptions(list)
    .addOption(
      new Option('--sort <key>', `by ${sortKeys.join(', ')}; key:desc the other way round`).argParser(
        checked('sort', sorting),
      ),
    )
    .addOption(new Option('--host <host>', 'only those on this back end').argParser(checked('host', backEndName)))
    .addOption(new Option('--tenant <tenant>', "only this tenant's").argParser(checked('tenant', tenantId)))
    .addOption(new Option('--status <status>', 'only those with this status').argParser(checked('status', shownStatus)))
    .option('--name <name>', 'only those of this name')
    .option('--migrating', 'only those that are being moved')
    .action((options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const { tenant, columns, ...filter } = options;
        const volumes = await ferry.listVolumes({ ...filter, tenantId: tenant });
        const admin = isAdmin(ferry.identity);
        answer(
          volumes.map((volume) => volumeProperties({ volume }, admin)),
          volumeTable(volumes, admin, { columns, width: terminalWidth() }),
        );
      }),
    );
}

const columnsForAll: readonly Column<Volume>[] = [
  { title: 'ID', text: (v) => v.id, isId: true },
  { title: 'Status', text: (v) => statusOf(v) },
  { title: 'Name', text: (v) => v.name ?? '' },
  { title: 'Size', text: (v) => sizeText(v.sizeBytes) },
  { title: 'Bootable', text: (v) => propertyText(v.bootable), spare: 3 },
];
const columnsForAdministrators: readonly Column<Volume>[] = [
  { title: 'Tenant', text: (v) => v.tenantId, spare: 2 },
  { title: 'Host', text: (v) => v.host },
  { title: 'Migration', text: (v) => propertyText(v.migrationStatus), spare: 1 },
];

export function volumeTable(
  volumes: readonly Volume[],
  admin: boolean,
  shape: Parameters<typeof listing>[2] = { width: Number.POSITIVE_INFINITY },
): string {
  return listing([...columnsForAll, ...(admin ? columnsForAdministrators : [])], volumes, shape);
}
