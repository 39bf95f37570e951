import type { Command } from 'commander';
import { sourceArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry host remove`: a node or back end that is retired, or that was a typo, is forgotten. */
export function addHostRemove(host: Command): void {
  host
    .command('remove')
    .description(
      'forget a back end, or all of a node: one that is retired, or was a typo; its worker must have been stopped',
    )
    .addArgument(sourceArgument())
    .action((name: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnds = await ferry.removeBackEnds(name);
        answer({ removed: backEnds }, `Forgotten: ${backEnds.join(', ')}.`);
      }),
    );
}
