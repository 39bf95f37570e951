import { Argument, Option, type Command } from 'commander';
import { guestDevice, instanceId, nodeName } from '../../model/ids.ts';
import { isAdmin } from '../identity.ts';
import { attachmentProperties } from './attachment-properties.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable } from './table.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options {
  mode: 'rw' | 'ro';
  device?: string;
}

/** `ferry attach`: reserves a volume for an instance and exports it for its hypervisor. */
export function addAttach(program: Command): void {
  program
    .command('attach')
    .description('reserve a volume for an instance and export it for its hypervisor; shows how to connect')
    .addArgument(volumeArgument())
    .addArgument(new Argument('<instance>', "the instance's id").argParser(checked('instance', instanceId)))
    .addArgument(new Argument('<host>', 'the hypervisor it runs on').argParser(checked('host', nodeName)))
    .addOption(new Option('--mode <mode>', 'rw, or ro: the guest may only read').choices(['rw', 'ro']).default('rw'))
    .option('--device <name>', 'as the guest shall know it, e.g. vdb', checked('device', guestDevice))
    .action((volumeId: string, instance: string, computeHost: string, options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const made = await ferry.attachVolume({ volumeId, instanceId: instance, computeHost, ...options });
        const properties = attachmentProperties(made, isAdmin(ferry.identity));
        answer(properties, propertyTable(properties));
      }),
    );
}
