import { Argument, type Command } from 'commander';
import { metadataKey } from '../../model/text.ts';
import { answerVolume } from './answer-volume.ts';
import { checked, pairs } from './arguments.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry metadata set` and `unset`: what people and services keep with a volume. */
export function addMetadata(program: Command): void {
  const metadata = program
    .command('metadata')
    .description("a volume's metadata; touches no device, so it goes on while the volume moves");
  metadata
    .command('set')
    .description('set keys; the others stay')
    .addArgument(volumeArgument())
    .addArgument(new Argument('<key=value...>', 'what to set').argParser(pairs('metadata')))
    .action((volumeId: string, set: Record<string, string>, _options: object, command: Command) =>
      withFerry(command, async (session) =>
        answerVolume(session, await session.ferry.changeMetadata(volumeId, { set })),
      ),
    );
  const key = checked('key', metadataKey);
  metadata
    .command('unset')
    .description('remove keys; one that is not there is no error')
    .addArgument(volumeArgument())
    .addArgument(
      new Argument('<key...>', 'what to remove').argParser((text, before: string[] | undefined) => [
        ...(before ?? []),
        key(text),
      ]),
    )
    .action((volumeId: string, unset: string[], _options: object, command: Command) =>
      withFerry(command, async (session) =>
        answerVolume(session, await session.ferry.changeMetadata(volumeId, { unset })),
      ),
    );
}
