import type { Command } from 'commander';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation pause`. */
export function addEvacuationPause(evacuation: Command): void {
  evacuation
    .command('pause')
    .description('begin no more moves, and stop the running ones at their last flushed byte')
    .addArgument(movesArgument())
    .action((source: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.pauseMoves(source);
        answer(
          { source, paused: true },
          `The evacuation of ${source} is paused. Go on: ferry evacuation resume ${source}`,
        );
      }),
    );
}
