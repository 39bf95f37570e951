import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedWorker } from '../../testbed/process-worker.ts';

/** How often it is looked whether a worker lives. Milliseconds. */
const lookEveryMs = 50;

/** Starts workers again whenever they die, as a process manager would, until `signal`. */
export async function keepAlive(workers: readonly ManagedWorker[], signal: AbortSignal): Promise<void> {
  await Promise.all(
    workers.map(async (worker) => {
      while (!signal.aborted) {
        // One that is killed as it starts is started once more.
        if (!worker.isRunning()) await worker.start().catch(() => {});
        await sleep(lookEveryMs);
      }
    }),
  );
}
