import type { Command } from 'commander';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation cancel`. */
export function addEvacuationCancel(evacuation: Command): void {
  evacuation
    .command('cancel')
    .description('begin no more moves; the running ones end. The source stays disabled')
    .addArgument(movesArgument())
    .option('--running', 'cancel the running moves too: their volumes stay where they are')
    .action((source: string, options: { running?: true }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.cancelMoves(source, options.running ? 'cancel' : 'finish');
        const running = options.running ? 'The running moves go back.' : 'The running moves end.';
        answer(
          { source, cancelRequested: true },
          `No move begins any more. ${running}\nSee: ferry evacuation show ${source}\nTo allow new volumes again: ferry host enable ${source}`,
        );
      }),
    );
}
