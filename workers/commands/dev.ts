import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { DevOptions, StartApi } from '../run-dev.ts';

/**
 * `ferry dev`: everything on this machine in one process, with two back ends of sparse files; kept in one folder. `startApi`: the API is a client's, and
 * no worker knows clients.
 */
export function addDevCommand(program: Command, startApi: StartApi): void {
  program
    .command('dev')
    .description(
      "run everything on this machine: Temporal with its Web UI, Postgres, workers for two back ends of plain files, and Cinder's API",
    )
    .option('--directory <folder>', 'where all of it is kept', '.ferry/dev')
    .option('--port <port>', "Temporal's port", port, 7233)
    .option('--ui-port <port>', "the Web UI's port", port, 8233)
    .option('--api-port <port>', "the port of Cinder's API", port, 8776)
    .action(async (options: DevOptions) => {
      const { runDev } = await import('../run-dev.ts');
      await runDev({ ...options, directory: path.resolve(options.directory) }, startApi);
    });
}

function port(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0 && number < 65_536) return number;
  throw new InvalidArgumentError('It is not a port (a whole number from 1 to 65535).');
}
