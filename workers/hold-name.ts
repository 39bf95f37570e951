import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { FerryError } from '../model/errors.ts';
import type { Registry } from '../registry/open-registry.ts';
import { freeWorkerName, holdWorkerName, type NamedWorker } from '../registry/worker-names.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/**
 * Goes by the name from now on until it is stopped. Throws what `holdWorkerName` throws; `lost` is called when a worker of another machine
 * has got the name later, which it can when this one was not heard of for a while.
 */
export async function holdName(deps: {
  registry: Registry;
  worker: Pick<NamedWorker, 'kind' | 'name'>;
  log: Logger;
  lost: (why: string) => void;
}): Promise<{ stop(): Promise<void> }> {
  const { registry, log, lost } = deps;
  const worker = { ...deps.worker, machine: await machineName(), hostname: hostname() };
  await holdWorkerName(registry, worker);
  const rounds = await everyFewSeconds(
    () => holdWorkerName(registry, worker),
    (error) => {
      if (error instanceof FerryError && error.type === 'InvalidInput') lost(error.message);
      else log.warn({ error: error.message }, 'the name of this worker could not be held');
    },
  );
  return {
    async stop() {
      rounds.stop();
      await freeWorkerName(registry, worker).catch((error: Error) =>
        log.warn({ error: error.message }, 'the name of this worker could not be given up'),
      );
    },
  };
}

/** Machines that were cloned have one id; two of one id and one host name nobody can tell apart. See machine-id(5). */
async function machineName(): Promise<string> {
  const id = await readFile('/etc/machine-id', 'utf8').catch(() => '');
  return `${id.trim()}/${hostname()}`;
}
