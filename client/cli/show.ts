import type { Command } from 'commander';
import { isAdmin } from '../identity.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { volumeArgument } from './volume-argument.ts';
import { volumeProperties } from './volume-properties.ts';

/** `ferry show`: the seed's table of a volume's properties. */
export function addShow(program: Command): void {
  program
    .command('show')
    .description("show a volume's properties, where it is and whether it is being moved")
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const properties = volumeProperties(await ferry.findVolume(volumeId), isAdmin(ferry.identity));
        answer(properties, propertyTable(properties));
      }),
    );
}
