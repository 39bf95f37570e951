import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

/** `ferry unmanage`: lets a volume go. */
export function addUnmanage(program: Command): void {
  program
    .command('unmanage')
    .description('forget a volume and leave its device, with its bytes')
    .addArgument(volumeArgument())
    .action((volumeId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const left = await ferry.unmanageVolume(volumeId);
        const where = left ? `its device ${left.deviceName} stays on ${left.backEnd}` : 'its device stays';
        answer({ volumeId, ...left }, `Volume ${volumeId} is forgotten; ${where}.`);
      }),
    );
}
