import { Argument, type Command } from 'commander';
import { specKey } from '../../model/volume-type.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { typeArgument, typeProperties } from './type-properties.ts';

/** `ferry type unset`: what a type asks for no more. */
export function addTypeUnset(type: Command): void {
  const key = checked('key', specKey);
  type
    .command('unset')
    .description('let a volume type no longer ask for something; refused while volumes have the type')
    .addArgument(typeArgument())
    .addArgument(
      new Argument('<key...>', 'one that it does not ask for is no error').argParser(
        (text, before: string[] | undefined) => [...(before ?? []), key(text)],
      ),
    )
    .action((nameOrId: string, unset: string[], _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const changed = typeProperties(await ferry.changeVolumeType(nameOrId, { unset }));
        answer(changed, propertyTable(changed));
      }),
    );
}
