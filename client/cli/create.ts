import { Option, type Command } from 'commander';
import * as z from 'zod';
import { backEndName, tenantId } from '../../model/ids.ts';
import { volumeSize } from '../../model/sizes.ts';
import { isAdmin } from '../identity.ts';
import { checked, pairs } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { volumeOption } from './volume-argument.ts';
import { volumeProperties } from './volume-properties.ts';
import { label } from '../../model/text.ts';

interface Options {
  size?: number;
  fromSnapshot?: string;
  fromVolume?: string;
  name?: string;
  description?: string;
  host?: string;
  zone?: string;
  tenant?: string;
  metadata?: Record<string, string>;
  bootable?: true;
  type?: string;
}

/** `ferry create`: makes a volume, all zeros or from a snapshot or another volume, and shows it. */
export function addCreate(program: Command): void {
  program
    .command('create')
    .description('make a volume; waits until it is available')
    .addOption(
      new Option('--size <size>', 'in GiB, or with a unit: 64MiB; else that of what it is made from').argParser(
        checked('size', volumeSize),
      ),
    )
    .addOption(
      new Option('--from-snapshot <snapshot>', "with that snapshot's bytes, by its id; the rest is zeros")
        .argParser(checked('snapshot', z.uuid('is not a snapshot id (expected a UUID)')))
        .conflicts('fromVolume'),
    )
    .addOption(volumeOption('with the bytes of that volume, which nobody may have meanwhile', '--from-volume <volume>'))
    .option('--name <name>', 'what people call it', checked('name', label))
    .option('--description <text>', 'what it is for', checked('description', label))
    .option(
      '--host <host>',
      'the back end, node@name; else the one that is the least full with it',
      checked('host', backEndName),
    )
    .option('--zone <zone>', 'an availability zone to choose the back end from', checked('zone', label.min(1)))
    .option(
      '--type <type>',
      'a volume type, by name or id: its back end has what that asks for',
      checked('type', label.min(1, 'is empty')),
    )
    .option('--tenant <tenant>', 'its owner; else the caller', checked('tenant', tenantId))
    .option('--metadata <key=value>', 'may be given more than once', pairs('metadata'))
    .option('--bootable', 'it holds a system to boot from')
    .action((o: Options, command: Command) => {
      if (o.size === undefined && o.fromSnapshot === undefined && o.fromVolume === undefined)
        command.error("error: required option '--size <size>' not specified");
      return withFerry(command, async ({ ferry, answer }) => {
        const { size, host, zone, tenant, type, fromSnapshot, fromVolume, ...rest } = o;
        const made = await ferry.createVolume({
          ...rest,
          ...(size === undefined ? {} : { sizeBytes: size }),
          snapshotId: fromSnapshot,
          sourceVolumeId: fromVolume,
          backEnd: host,
          availabilityZone: zone,
          tenantId: tenant,
          volumeType: type,
        });
        const properties = volumeProperties(made, isAdmin(ferry.identity));
        answer(properties, propertyTable(properties));
      });
    });
}
