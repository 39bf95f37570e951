import type { Command } from 'commander';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation resume`. */
export function addEvacuationResume(evacuation: Command): void {
  evacuation
    .command('resume')
    .description('go on from where it was paused')
    .addArgument(movesArgument())
    .action((source: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.resumeMoves(source);
        answer(
          { source, paused: false },
          `The evacuation of ${source} goes on. Watch it: ferry evacuation watch ${source}`,
        );
      }),
    );
}
