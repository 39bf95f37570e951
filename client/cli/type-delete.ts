import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { typeArgument } from './type-properties.ts';

/** `ferry type delete`. */
export function addTypeDelete(type: Command): void {
  type
    .command('delete')
    .description('delete a volume type; refused while volumes have it, or are being moved to it')
    .addArgument(typeArgument())
    .action((nameOrId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.deleteVolumeType(nameOrId);
        answer({ volumeType: nameOrId, deleted: true }, `Volume type ${nameOrId} is deleted.`);
      }),
    );
}
