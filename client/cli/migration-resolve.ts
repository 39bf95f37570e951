import { Argument, type Command } from 'commander';
import { resolutionPayload, type Resolution } from '../../model/messages.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

const consequence = {
  source: 'goes back: the volume is where it was, and what was made is taken away.',
  destination:
    'goes forward: the volume is on its destination, and the old device goes when the new one answers for it.',
  probe: 'looks again.',
} as const satisfies Record<Resolution, string>;

/** `ferry migration resolve`: the way out of a migration that waits for an operator. */
export function addMigrationResolve(migration: Command): void {
  migration
    .command('resolve')
    .description(
      'tell a migration that waits for an operator where the volume is: which side its guest writes to (docs/operations.md); or, when the new device was lost after the switch, to go back to the source (what was written since the switch is lost with it), or to look again',
    )
    .addArgument(volumeArgument())
    .addArgument(
      new Argument('<finding>', 'source or destination: where the volume is; probe: look again').choices(
        resolutionPayload.options,
      ),
    )
    .action((volumeId: string, resolution: Resolution, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.resolveMigration(volumeId, resolution);
        answer({ volumeId, resolution }, `The migration of volume ${volumeId} ${consequence[resolution]}`);
      }),
    );
}
