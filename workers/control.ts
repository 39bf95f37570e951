import { Worker, type NativeConnection } from '@temporalio/worker';
import { createRegistryActivities } from '../activities/registry/create-registry-activities.ts';
import { controlQueue } from '../model/names.ts';
import type { Registry } from '../registry/open-registry.ts';
import { activityFailures } from './activity-failures.ts';
import { workflowBundle } from './bundle.ts';
import { registerSearchAttributes } from './register-search-attributes.ts';
import type { Stoppable } from './run-until-stopped.ts';

/** The control worker: every workflow, and the activities on the registry. Any number may run. */
export async function createControlWorker(deps: {
  connection: NativeConnection;
  namespace: string;
  registry: Registry;
}): Promise<Stoppable> {
  await registerSearchAttributes(deps.connection, deps.namespace);
  const worker = await Worker.create({
    connection: deps.connection,
    namespace: deps.namespace,
    taskQueue: controlQueue,
    workflowBundle: await workflowBundle(),
    activities: createRegistryActivities({ registry: deps.registry }),
    interceptors: { activity: [() => ({ inbound: activityFailures })] },
    maxConcurrentActivityTaskExecutions: 50,
  });
  return { run: () => worker.run(), stop: () => shutdown(worker) };
}

/** Asks a worker to finish; asking twice, or after its end, is fine. */
export function shutdown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}
