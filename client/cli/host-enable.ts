import { Argument, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';

/** `ferry host enable`: takes `host disable` back. */
export function addHostEnable(host: Command): void {
  host
    .command('enable')
    .description('allow new volumes on a back end again')
    .addArgument(new Argument('<host>', 'the back end, node@name').argParser(checked('host', backEndName)))
    .action((name: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnd = await ferry.enableBackEnd(name);
        answer(backEnd, `${name} is enabled.`);
      }),
    );
}
