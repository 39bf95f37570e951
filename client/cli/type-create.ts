import { Argument, type Command } from 'commander';
import { label } from '../../model/text.ts';
import { volumeTypeName } from '../../model/volume-type.ts';
import { checked, pairs } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { typeProperties } from './type-properties.ts';

/** `ferry type create`: a name for what volumes may ask of their back end. */
export function addTypeCreate(type: Command): void {
  type
    .command('create')
    .description('make a volume type; a volume of it is only where the back end has all that it asks for')
    .addArgument(new Argument('<name>', 'what it is called').argParser(checked('name', volumeTypeName)))
    .option('--spec <key=value>', 'what it asks for, e.g. media=ssd; may be given more than once', pairs('spec'))
    .option('--description <text>', 'what it is for', checked('description', label))
    .action((name: string, o: { spec?: Record<string, string>; description?: string }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const made = typeProperties(
          await ferry.createVolumeType({ name, description: o.description, extraSpecs: o.spec }),
        );
        answer(made, propertyTable(made));
      }),
    );
}
