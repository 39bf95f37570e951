import { Argument, type Command } from 'commander';
import { nodeName } from '../../model/ids.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';

/** `ferry host rename`: the machine is the same, its name is another. */
export function addHostRename(host: Command): void {
  host
    .command('rename')
    .description('say that a storage node has another name now; its worker must have been stopped')
    .addArgument(new Argument('<node>', 'the name that it had').argParser(checked('node', nodeName)))
    .addArgument(new Argument('<new-name>', 'the name that it has').argParser(checked('new-name', nodeName)))
    .action((from: string, to: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnds = await ferry.renameNode(from, to);
        answer(
          { node: to, backEnds },
          `${from} is ${to} now, with ${backEnds.join(', ')}.\nWrite the name into its configuration ("node"), and start its worker: ferry worker storage`,
        );
      }),
    );
}
