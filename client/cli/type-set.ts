import { Argument, type Command } from 'commander';
import { label } from '../../model/text.ts';
import { volumeTypeName } from '../../model/volume-type.ts';
import { checked, pairs } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { typeArgument, typeProperties } from './type-properties.ts';

/** `ferry type set`: what a type asks for, and its description. */
export function addTypeSet(type: Command): void {
  type
    .command('set')
    .description('let a volume type ask for something, the rest stays; refused while volumes have the type')
    .addArgument(typeArgument())
    .addArgument(new Argument('[key=value...]', 'what it asks for, e.g. media=ssd').argParser(pairs('spec')))
    .option('--name <name>', 'what it is called from now on; its volumes follow', checked('name', volumeTypeName))
    .option('--description <text>', 'what it is for; may be changed at any time', checked('description', label))
    .action(
      (
        nameOrId: string,
        set: Record<string, string> | undefined,
        { description, name }: { description?: string; name?: string },
        command: Command,
      ) =>
        withFerry(command, async ({ ferry, answer }) => {
          const changed = typeProperties(await ferry.changeVolumeType(nameOrId, { set, description, name }));
          answer(changed, propertyTable(changed));
        }),
    );
}
