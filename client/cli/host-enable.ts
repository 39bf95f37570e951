import type { Command } from 'commander';
import { sourceArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry host enable`: takes `host disable` back. */
export function addHostEnable(host: Command): void {
  host
    .command('enable')
    .description('allow new volumes on a back end again')
    .addArgument(sourceArgument())
    .action((name: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnds = await ferry.enableBackEnd(name);
        answer(backEnds, backEnds.map((b) => `${b.name} is enabled.`).join('\n'));
      }),
    );
}
