import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration pause`: stops the copy, not the migration. */
export function addMigrationPause(migration: Command): void {
  migration
    .command('pause')
    .description('stop the copy at its last flushed byte')
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.pauseMigration(volumeId);
        answer(
          { volumeId, paused: true },
          `The migration of volume ${volumeId} is paused. Go on: ferry migration resume ${volumeId}`,
        );
      }),
    );
}
