import { Argument, type Command } from 'commander';
import { bandwidth, formatBytes } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';

/** `ferry evacuation set-bandwidth`. */
export function addEvacuationSetBandwidth(evacuation: Command): void {
  evacuation
    .command('set-bandwidth')
    .description('cap the speed of all its moves together from now on')
    .addArgument(movesArgument())
    .addArgument(new Argument('<rate>', 'e.g. 400MiB/s, or unlimited').argParser(checked('rate', bandwidth)))
    .action((source: string, rate: number | null, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.setMovesBandwidth(source, rate);
        answer(
          { source, bandwidth: rate },
          `The moves from ${source} have ${rate === null ? 'no cap' : `a cap of ${formatBytes(rate)}/s together`} now.`,
        );
      }),
    );
}
