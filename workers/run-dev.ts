import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import type { ListenAddress } from '../configuration/listen-address.ts';
import { configuration, type Configuration, type NodeConfiguration } from '../configuration/schema.ts';
import { openRegistry } from '../registry/open-registry.ts';
import { connectToTemporal } from './connection.ts';
import { createControlWorker } from './control.ts';
import { startPostgres } from './embedded/postgres.ts';
import { startTemporal } from './embedded/temporal.ts';
import { runUntilStopped } from './run-until-stopped.ts';
import { installRuntime } from './runtime.ts';
import { createStorageWorker } from './storage.ts';

/** Where everything of `ferry dev` is, and at which ports. */
export interface DevOptions {
  directory: string;
  port: number;
  uiPort: number;
  apiPort: number;
}

/** Serves Cinder's API as configured, until it is closed. */
export type StartApi = (how: {
  configuration: Configuration;
  at: ListenAddress;
  log: Logger;
}) => Promise<{ url: string; close(): Promise<void> }>;

/** Runs all of Ferry in this process until it is told to stop. */
export async function runDev(options: DevOptions, startApi: StartApi): Promise<void> {
  const { directory } = options;
  const nodes = devNodes(directory);
  for (const { backEnds } of nodes) {
    for (const backEnd of backEnds) if (backEnd.driver === 'directory') await mkdir(backEnd.path, { recursive: true });
  }
  const { orphanGraceSeconds, noProgressSeconds } = configuration.parse({});
  const log = installRuntime({ logLevel: 'warn' });
  const temporal = await startTemporal({
    survivesPowerLoss: true,
    directory: path.join(directory, 'temporal'),
    port: options.port,
    uiPort: options.uiPort,
  });
  const postgres = await startPostgres({ directory: path.join(directory, 'postgres') });
  process.env['TEMPORAL_ADDRESS'] = temporal.address;
  try {
    const registry = await openRegistry(postgres.url);
    const { connection, namespace } = await connectToTemporal();
    try {
      const deps = { connection, namespace, registry, log };
      const workers = [
        await createControlWorker({ ...deps, orphanGraceSeconds }),
        ...(await Promise.all(nodes.map((node) => createStorageWorker({ ...deps, node, noProgressSeconds })))),
      ];
      const api = await startApi({
        configuration: configuration.parse({ databaseUrl: postgres.url, logLevel: 'warn' }),
        at: { host: '127.0.0.1', port: options.apiPort },
        log,
      });
      console.log(`Ferry runs, with the back ends server1@files-1 and server2@files-2. In another shell:

  export TEMPORAL_ADDRESS=${temporal.address} FERRY_DATABASE_URL='${postgres.url}'
  npm run ferry -- host list

and for stock clients (python3-cinderclient and the like):

  export OS_AUTH_TYPE=noauth CINDER_ENDPOINT=${api.url}/v3 OS_USER_ID=admin OS_PROJECT_ID=admin
  cinder list

Temporal's Web UI: ${temporal.uiUrl}
Everything is kept in ${directory}. Stop with Ctrl-C.`);
      try {
        await runUntilStopped(workers);
      } finally {
        await api.close();
      }
    } finally {
      await connection.close();
      await registry.close();
    }
  } finally {
    await postgres.stop();
    await temporal.stop();
  }
}

function devNodes(directory: string): NodeConfiguration[] {
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
