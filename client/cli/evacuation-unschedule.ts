import type { Command } from 'commander';
import { sourceArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation unschedule`: takes `ferry host evacuate --schedule` back. */
export function addEvacuationUnschedule(evacuation: Command): void {
  evacuation
    .command('unschedule')
    .description('evacuate no more at the scheduled times; one that runs goes on')
    .addArgument(sourceArgument())
    .action((source: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.unscheduleEvacuation(source);
        answer({ source, schedule: null }, `${source} is not evacuated at scheduled times any more.`);
      }),
    );
}
