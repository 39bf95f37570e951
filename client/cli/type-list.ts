import type { Command } from 'commander';
import { capabilitiesText } from '../../model/volume-type.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';
import { typeProperties } from './type-properties.ts';

/** `ferry type list`. */
export function addTypeList(type: Command): void {
  type
    .command('list')
    .description('list the volume types; administrators see what each asks for')
    .action((_options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const all = await ferry.listVolumeTypes();
        const rows = all.map(({ id, name, description, extraSpecs }) => [
          id,
          name,
          description ?? '',
          capabilitiesText(extraSpecs ?? {}),
        ]);
        answer(all.map(typeProperties), table(['ID', 'Name', 'Description', 'Asks for'], rows));
      }),
    );
}
