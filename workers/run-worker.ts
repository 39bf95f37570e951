import { loadConfiguration, requireDatabaseUrl } from '../configuration/load.ts';
import type { Configuration } from '../configuration/schema.ts';
import { FerryError } from '../model/errors.ts';
import { openRegistry, type Registry } from '../registry/open-registry.ts';
import { connectToTemporal } from './connection.ts';
import { createControlWorker } from './control.ts';
import { runUntilStopped, type Stoppable } from './run-until-stopped.ts';
import { installRuntime } from './runtime.ts';
import { createStorageWorker } from './storage.ts';

/** Runs one worker, as configured, until it is told to stop. */
export async function runWorker(kind: 'control' | 'storage'): Promise<void> {
  const configuration = await loadConfiguration(process.env);
  const log = installRuntime(configuration).child({ worker: kind, node: configuration.node?.name });
  const registry = await openRegistry(requireDatabaseUrl(configuration), {
    onError: (error) => log.warn({ error: error.message }, 'a connection to the registry broke'),
  });
  try {
    const temporal = await connectToTemporal();
    try {
      const part = await create(kind, { configuration, registry, log, ...temporal });
      log.info('ready');
      await runUntilStopped([part]);
    } finally {
      await temporal.connection.close();
    }
  } finally {
    await registry.close();
  }
}

function create(
  kind: 'control' | 'storage',
  deps: {
    configuration: Configuration;
    registry: Registry;
    log: ReturnType<typeof installRuntime>;
  } & Awaited<ReturnType<typeof connectToTemporal>>,
): Promise<Stoppable> {
  const { node, noProgressSeconds, orphanGraceSeconds } = deps.configuration;
  if (kind === 'control') return createControlWorker({ ...deps, orphanGraceSeconds });
  if (!node) {
    throw new FerryError(
      'InvalidInput',
      'No storage node is configured: "node" is missing in the file that FERRY_CONFIG names.',
    );
  }
  return createStorageWorker({ ...deps, node, noProgressSeconds });
}
