import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration resume`: takes a pause back. */
export function addMigrationResume(migration: Command): void {
  migration
    .command('resume')
    .description('go on with a paused copy from where it was')
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.resumeMigration(volumeId);
        answer({ volumeId, paused: false }, `The migration of volume ${volumeId} goes on.`);
      }),
    );
}
