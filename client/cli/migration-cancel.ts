import type { Command } from 'commander';
import { followMigration, resultLine } from './follow-migration.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration cancel`: takes a migration back and waits until the volume is free again. */
export function addMigrationCancel(migration: Command): void {
  migration
    .command('cancel')
    .description('take a running migration back: the volume stays where it was; waits until it is free again')
    .addArgument(volumeArgument())
    .option('-d, --detach', 'do not wait')
    .action((volumeId: string, options: { detach?: true }, command: Command) =>
      withFerry(command, async (session) => {
        const { ferry, answer } = session;
        const migrationId = (await ferry.migrationState(volumeId))?.migrationId;
        await ferry.cancelMigration(volumeId);
        if (options.detach || !migrationId) {
          answer(
            { volumeId, migrationId, cancelRequested: true },
            `The migration of volume ${volumeId} is being taken back.`,
          );
          return;
        }
        const record = await followMigration(session, volumeId, { migrationId });
        const cancelled = `Cancelled. Volume ${volumeId} is on ${record.source}, as before.`;
        answer(record, record.outcome === 'cancelled' ? cancelled : resultLine(record));
      }),
    );
}
