import { Argument, type Command } from 'commander';
import { volumeSize } from '../../model/sizes.ts';
import { answerVolume } from './answer-volume.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry extend`: more room at a volume's end. */
export function addExtend(program: Command): void {
  program
    .command('extend')
    .description('make an available volume larger; the new bytes read as zero')
    .addArgument(volumeArgument())
    .addArgument(
      new Argument('<size>', 'its new size, in GiB, or with a unit: 64MiB').argParser(checked('size', volumeSize)),
    )
    .action((volumeId: string, size: number, _options: object, command: Command) =>
      withFerry(command, async (session) => answerVolume(session, await session.ferry.extendVolume(volumeId, size))),
    );
}
