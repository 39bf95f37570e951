import type { Command } from 'commander';
import type { MigrationEvent } from '../watch-migration.ts';
import { followMigration, resultLine } from './follow-migration.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration watch`: follows a running migration; with --json one line an event, the record last. */
export function addMigrationWatch(migration: Command): void {
  migration
    .command('watch')
    .description('follow a running migration to its end; with --json one event a line, the record last')
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async (session) => {
        const { json, answer } = session;
        const onEvent = (event: MigrationEvent) => {
          if (json) answer(event, '');
        };
        const record = await followMigration(session, volumeId, { onEvent });
        const line = resultLine(record);
        if (!json) answer(record, line);
      }),
    );
}
