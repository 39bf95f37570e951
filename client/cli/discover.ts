import { Argument, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { formatBytes } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';

/** `ferry discover`: what could be managed. */
export function addDiscover(program: Command): void {
  program
    .command('discover')
    .description("list a back end's devices that are none of Ferry's, and whether they can be managed")
    .addArgument(new Argument('<host>', 'the back end, node@name').argParser(checked('host', backEndName)))
    .action((host: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const found = await ferry.discoverDevices(host);
        const rows = found.map((d) => [
          d.name,
          formatBytes(d.sizeBytes),
          d.obstacle === null ? 'yes' : `no: ${d.obstacle}`,
        ]);
        answer(found, table(['Device', 'Size', 'Can be managed'], rows));
      }),
    );
}
