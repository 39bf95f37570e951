import { Argument, type Command } from 'commander';
import { backEndName, tenantId } from '../../model/ids.ts';
import { label } from '../../model/text.ts';
import { answerVolume } from './answer-volume.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';

interface Options {
  name?: string;
  description?: string;
  tenant?: string;
  bootable?: true;
}

/** `ferry manage`: takes over a device that is there already. */
export function addManage(program: Command): void {
  program
    .command('manage')
    .description('make a device that is on a back end a volume, where it is; its bytes are not touched')
    .addArgument(new Argument('<host>', 'the back end, node@name').argParser(checked('host', backEndName)))
    .addArgument(new Argument('<device>', "the device's name, as ferry discover lists it"))
    .option('--name <name>', 'what people call it', checked('name', label))
    .option('--description <text>', 'what it is for', checked('description', label))
    .option('--tenant <tenant>', 'its owner; else the caller', checked('tenant', tenantId))
    .option('--bootable', 'it holds a system to boot from')
    .action((backEnd: string, deviceName: string, { tenant, ...options }: Options, command: Command) =>
      withFerry(command, async (session) =>
        answerVolume(session, await session.ferry.manageVolume({ backEnd, deviceName, tenantId: tenant, ...options })),
      ),
    );
}
