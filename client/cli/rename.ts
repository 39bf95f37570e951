import { Argument, type Command } from 'commander';
import { label } from '../../model/text.ts';
import { answerVolume } from './answer-volume.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry rename`: what people call a volume. */
export function addRename(program: Command): void {
  program
    .command('rename')
    .description("change a volume's name or description; touches no device, so it goes on while the volume moves")
    .addArgument(volumeArgument())
    .addArgument(new Argument('[name]', 'its new name').argParser(checked('name', label)))
    .option('--description <text>', 'what it is for', checked('description', label))
    .action((volumeId: string, name: string | undefined, options: { description?: string }, command: Command) =>
      withFerry(command, async (session) =>
        answerVolume(session, await session.ferry.describeVolume(volumeId, { name, ...options })),
      ),
    );
}
