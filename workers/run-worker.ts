import { flushCompileCache } from 'node:module';
import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { loadConfiguration, requireDatabaseUrl } from '../configuration/load.ts';
import type { Configuration } from '../configuration/schema.ts';
import { serviceManager } from '../configuration/service-manager.ts';
import { FerryError } from '../model/errors.ts';
import { noColumns } from '../registry/rows.ts';
import { openRegistry, type Registry } from '../registry/open-registry.ts';
import { connectToTemporal } from './connection.ts';
import { createComputeWorker } from './compute.ts';
import { createControlWorker } from './control.ts';
import { serveHealth } from './health.ts';
import { holdName } from './hold-name.ts';
import { runUntilStopped, type Stoppable } from './run-until-stopped.ts';
import { installRuntime } from './runtime.ts';
import { createStorageWorker } from './storage.ts';
import { watchCredentials } from './watch-credentials.ts';
import { watchDurability } from './watch-durability.ts';

export type WorkerKind = 'control' | 'storage' | 'compute';

/** Runs one worker, as configured, until it is told to stop. */
export async function runWorker(kind: WorkerKind): Promise<void> {
  const configuration = await loadConfiguration(process.env);
  const log = installRuntime(configuration).child({ worker: kind, node: nameOf(kind, configuration) });
  try {
    await serve(kind, configuration, log);
  } catch (error) {
    // As long as it is there, the process does not end: whoever is to start it again would wait for that for ever.
    await Runtime.instance().shutdown();
    throw error;
  }
}

async function serve(kind: WorkerKind, configuration: Configuration, log: Logger): Promise<void> {
  await using ends = new AsyncDisposableStack();
  let part: Stoppable | undefined;
  let registry: Registry | undefined;
  if (configuration.healthAddress !== undefined) {
    const health = await serveHealth(configuration.healthAddress, () => whyNotReady(registry, part));
    ends.defer(() => health.stop());
  }
  const manager = serviceManager(process.env, log);
  ends.defer(() => manager.stop());
  registry = await openRegistry(requireDatabaseUrl(configuration), {
    onError: (error) => log.warn({ error: error.message }, 'a connection to the registry broke'),
  });
  const opened = registry;
  ends.defer(() => opened.close());
  const durability = await watchDurability({ registry, log });
  ends.defer(() => durability.stop());
  const name = nameOf(kind, configuration);
  if (kind !== 'control' && name !== undefined) {
    const lost = (why: string) => (part ? endForRestart(part, log, why) : undefined);
    const held = await holdName({ registry, worker: { kind, name }, log, lost });
    ends.defer(() => held.stop());
  }
  const temporal = await connectToTemporal();
  ends.defer(() => temporal.connection.close());
  const created = await create(kind, { configuration, registry, log, ...temporal });
  part = created;
  log.info('ready');
  await manager.ready();
  // Otherwise only an orderly end would keep it.
  flushCompileCache();
  const watching = await watchCredentials({
    log,
    refusedForMs: () => created.refusedForMs?.() ?? 0,
    end: (why) => endForRestart(created, log, why),
  });
  await runUntilStopped([created]).finally(watching.stop);
}

/** Why a worker cannot do its work now. Throws `ServiceUnreachable` when Postgres does not answer. */
async function whyNotReady(registry: Registry | undefined, part: Stoppable | undefined): Promise<string[]> {
  if (!registry || !part) return ['it is starting'];
  await registry.rows(noColumns, 'SELECT');
  const why = part.whyNotReady?.() ?? null;
  return why === null ? [] : [why];
}

/** For the unit (BSD's EX_TEMPFAIL): start it again. */
const restartExitCode = 75;

/** What is under way may not end by itself any more: what it would tell is refused. Milliseconds. */
const endMs = 60_000;

function endForRestart(part: Stoppable, log: Logger, why: string): void {
  log.warn({ why, exitCode: restartExitCode }, 'the worker ends, to be started again');
  process.exitCode = restartExitCode;
  setTimeout(() => process.exit(restartExitCode), endMs).unref();
  part.stop();
}

function create(
  kind: WorkerKind,
  deps: {
    configuration: Configuration;
    registry: Registry;
    log: Logger;
  } & Awaited<ReturnType<typeof connectToTemporal>>,
): Promise<Stoppable> {
  const { node, compute, noProgressSeconds, orphanGraceSeconds, deployment, webhooks } = deps.configuration;
  switch (kind) {
    case 'control':
      return createControlWorker({ ...deps, orphanGraceSeconds, deployment, webhooks });
    case 'storage':
      if (!node) throw notConfigured('storage node', 'node');
      return createStorageWorker({ ...deps, node, noProgressSeconds });
    case 'compute':
      if (!compute) throw notConfigured('hypervisor', 'compute');
      return createComputeWorker({ ...deps, compute, noProgressSeconds });
  }
}

function nameOf(kind: WorkerKind, { node, compute }: Configuration): string | undefined {
  return kind === 'compute' ? compute?.name : node?.name;
}

function notConfigured(what: string, field: string): FerryError {
  return new FerryError(
    'InvalidInput',
    `No ${what} is configured: "${field}" is missing in the file that FERRY_CONFIG names.`,
  );
}
