import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry migration discard`: removes a kept source before its time. */
export function addMigrationDiscard(migration: Command): void {
  migration
    .command('discard')
    .description('remove the kept sources of a volume now; its last migration cannot be undone any more')
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const done = await ferry.discardKeptSources(volumeId);
        const lines = [
          ...done.removed.map(({ deviceName, backEnd }) => `${deviceName} on ${backEnd} is removed.`),
          ...done.waiting.map(
            ({ deviceName, backEnd }) => `${deviceName} on ${backEnd} is removed as soon as its node can be reached.`,
          ),
        ];
        answer({ volumeId, ...done }, lines.join('\n'));
      }),
    );
}
