import type { Command } from 'commander';
import { followMoves } from './follow-moves.ts';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation watch`: a bar a volume and one for all, to the end. */
export function addEvacuationWatch(evacuation: Command): void {
  evacuation
    .command('watch')
    .description('follow a running evacuation to its end; with --json one state a line, the report last')
    .addArgument(movesArgument())
    .action((source: string, _options: object, command: Command) =>
      withFerry(command, async (session) => {
        const { plan } = await session.ferry.findMoves(source);
        await followMoves(session, plan.id, source);
      }),
    );
}
