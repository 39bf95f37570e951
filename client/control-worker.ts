import { setTimeout as sleep } from 'node:timers/promises';
import { controlQueue } from '../model/names.ts';
import { noControlWorker } from './temporal-failures.ts';
import type { Temporal } from './temporal.ts';

/** A worker that is just being started is worth this wait. */
const patienceMs = 10_000;

/** The value of TASK_QUEUE_TYPE_WORKFLOW in Temporal's API. */
const workflowTasks = 1;

/**
 * Resolves when a control worker takes tasks; asked before anything is started, so that nothing begins much later, when nobody
 * expects it any more. None for ten seconds: `ServiceUnreachable`, and nothing was started.
 */
export async function waitForControlWorker(temporal: Temporal, patience = patienceMs): Promise<void> {
  const deadline = Date.now() + patience;
  for (;;) {
    const { pollers } = await temporal.call((client) =>
      client.workflowService.describeTaskQueue({
        namespace: temporal.namespace,
        taskQueue: { name: controlQueue },
        taskQueueType: workflowTasks,
      }),
    );
    if (pollers && pollers.length > 0) return;
    if (Date.now() >= deadline) throw noControlWorker(temporal.address);
    await sleep(250);
  }
}
