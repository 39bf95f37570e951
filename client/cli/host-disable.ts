import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { backEndName } from '../../model/ids.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';

/** `ferry host disable`: before a node is decommissioned. */
export function addHostDisable(host: Command): void {
  host
    .command('disable')
    .description('place nothing new on a back end; what is there stays, and may leave')
    .addArgument(new Argument('<host>', 'the back end, node@name').argParser(checked('host', backEndName)))
    .option('--reason <text>', 'why, for others to read', checked('reason', z.string().min(1).max(255)))
    .action((name: string, options: { reason?: string }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnd = await ferry.disableBackEnd(name, options.reason ?? null);
        answer(backEnd, `${name} is disabled; nothing new is placed on it.`);
      }),
    );
}
