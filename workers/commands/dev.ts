import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Option, type Command } from 'commander';
import * as z from 'zod';
import { configuration, type Configuration } from '../../configuration/schema.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { connectToTemporal } from '../connection.ts';
import { createControlWorker } from '../control.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startTemporal } from '../embedded/temporal.ts';
import { runUntilStopped } from '../run-until-stopped.ts';
import { installRuntime } from '../runtime.ts';
import { createStorageWorker } from '../storage.ts';

const portOption = (flags: string, text: string) =>
  new Option(flags, text).argParser((value) => z.coerce.number().int().min(1).max(65_535).parse(value));

/** `ferry dev`: everything on this machine in one process, with two back ends of sparse files; kept in one folder. */
export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .description('run everything on this machine: Temporal with its Web UI, Postgres, and workers for two back ends of plain files')
    .option('--directory <folder>', 'where all of it is kept', '.ferry/dev')
    .addOption(portOption('--port <port>', "Temporal's port").default(7233))
    .addOption(portOption('--ui-port <port>', "the Web UI's port").default(8233))
    .action((options: { directory: string; port: number; uiPort: number }) => runDev({ ...options, directory: path.resolve(options.directory) }));
}

async function runDev(options: { directory: string; port: number; uiPort: number }): Promise<void> {
  const { directory } = options;
  await mkdir(directory, { recursive: true });
  const log = installRuntime({ logLevel: 'warn' });
  const temporal = await startTemporal({ directory: path.join(directory, 'temporal'), port: options.port, uiPort: options.uiPort });
  const postgres = await startPostgres({ directory: path.join(directory, 'postgres') });
  process.env['TEMPORAL_ADDRESS'] = temporal.address;
  try {
    const registry = await openRegistry(postgres.url);
    const { connection, namespace } = await connectToTemporal();
    try {
      const deps = { connection, namespace, registry, log };
      const workers = [
        await createControlWorker({ ...deps, orphanGraceSeconds: configuration.parse({}).orphanGraceSeconds }),
        ...(await Promise.all(devNodes(directory).map((node) => createStorageWorker({ ...deps, node, noProgressSeconds: configuration.parse({}).noProgressSeconds })))),
      ];
      console.log(`Ferry runs, with the back ends server1@files-1 and server2@files-2. In another shell:

  export TEMPORAL_ADDRESS=${temporal.address} FERRY_DATABASE_URL='${postgres.url}'
  npm run ferry -- host list

Temporal's Web UI: ${temporal.uiUrl}
Everything is kept in ${directory}. Stop with Ctrl-C.`);
      await runUntilStopped(workers);
    } finally {
      await connection.close();
      await registry.close();
    }
  } finally {
    await postgres.stop();
    await temporal.stop();
  }
}

function devNodes(directory: string): NonNullable<Configuration['node']>[] {
  return [1, 2].map((n) => {
    const own = path.join(directory, `server${n}`);
    const from = 10_800 + n * 200;
    return configuration.parse({
      node: {
        name: `server${n}`,
        availabilityZone: 'zone1',
        stateDirectory: path.join(own, 'state'),
        exportPorts: { from, to: from + 199 },
        backEnds: [{ name: `files-${n}`, driver: 'directory', path: path.join(own, 'volumes') }],
      },
    }).node!;
  });
}
