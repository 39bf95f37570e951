import { Argument, type Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry detach`: ends an attachment. */
export function addDetach(program: Command): void {
  program
    .command('detach')
    .description('end an attachment of a volume: its export ends, whoever is connected')
    .addArgument(volumeArgument())
    .addArgument(
      new Argument('[attachment]', "the attachment's or the instance's id; not needed when there is only one"),
    )
    .action((volumeId: string, attachment: string | undefined, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.detachVolume(volumeId, attachment);
        answer({ volumeId, detached: true }, `Volume ${volumeId} is detached.`);
      }),
    );
}
