import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry delete`: ends a volume for good. */
export function addDelete(program: Command): void {
  program
    .command('delete')
    .description('delete a volume and its bytes; refused while it is attached, has snapshots or is being moved')
    .addArgument(volumeArgument())
    .option('--cascade', 'with its snapshots')
    .option('--force', 'also from statuses in which it usually has work to do (administrators)')
    .action((volumeId: string, options: { cascade?: true; force?: true }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.deleteVolume(volumeId, { force: options.force ?? false, cascade: options.cascade ?? false });
        answer({ volumeId, deleted: true }, `Volume ${volumeId} is deleted.`);
      }),
    );
}
