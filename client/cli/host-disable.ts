import type { Command } from 'commander';
import { checked } from './arguments.ts';
import { sourceArgument } from './moves-options.ts';
import { withFerry } from './session.ts';
import { label } from '../../model/text.ts';

/** `ferry host disable`: before a node is decommissioned. */
export function addHostDisable(host: Command): void {
  host
    .command('disable')
    .description('place nothing new on a back end; what is there stays, and may leave')
    .addArgument(sourceArgument())
    .option('--reason <text>', 'why, for others to read', checked('reason', label.min(1)))
    .action((name: string, options: { reason?: string }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnds = await ferry.disableBackEnd(name, options.reason ?? null);
        answer(backEnds, backEnds.map((b) => `${b.name} is disabled; nothing new is placed on it.`).join('\n'));
      }),
    );
}
