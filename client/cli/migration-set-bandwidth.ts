import { Argument, type Command } from 'commander';
import { bandwidth, formatBytes } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration set-bandwidth`: makes a running copy slower or faster. */
export function addMigrationSetBandwidth(migration: Command): void {
  migration
    .command('set-bandwidth')
    .description('cap the speed of a running copy from now on')
    .addArgument(volumeArgument())
    .addArgument(new Argument('<rate>', 'e.g. 100MiB/s, or unlimited').argParser(checked('rate', bandwidth)))
    .action((volumeId: string, rate: number | null, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.setBandwidth(volumeId, rate);
        answer(
          { volumeId, bandwidth: rate },
          `The copy of volume ${volumeId} has ${rate === null ? 'no cap' : `a cap of ${formatBytes(rate)}/s`} now.`,
        );
      }),
    );
}
