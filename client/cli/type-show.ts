import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { typeArgument, typeProperties } from './type-properties.ts';

/** `ferry type show`. */
export function addTypeShow(type: Command): void {
  type
    .command('show')
    .description('show a volume type')
    .addArgument(typeArgument())
    .action((nameOrId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const found = typeProperties(await ferry.findVolumeType(nameOrId));
        answer(found, propertyTable(found));
      }),
    );
}
