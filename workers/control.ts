import { Client } from '@temporalio/client';
import { Runtime, Worker, type NativeConnection } from '@temporalio/worker';
import { createMoveActivities } from '../activities/moves/create-move-activities.ts';
import { createNotificationActivities } from '../activities/notifications/create-notification-activities.ts';
import { createRegistryActivities } from '../activities/registry/create-registry-activities.ts';
import { createRepairActivities } from '../activities/repair/create-repair-activities.ts';
import { registryInputs } from '../activities/inputs/registry.ts';
import { registryWarrants, type WritesConnection } from '../activities/warrants/registry-warrants.ts';
import { requireWarrants } from '../activities/warrants/require-warrants.ts';
import type { Logger } from 'pino';
import type { DeploymentConfiguration, WebhookConfiguration } from '../configuration/schema.ts';
import { controlQueue } from '../model/names.ts';
import type { Registry } from '../registry/open-registry.ts';
import { activityFailures } from './activity-failures.ts';
import { workflowBundle } from './bundle.ts';
import { keepNamespace } from './keep-namespace.ts';
import { observeRegistry } from './observe-registry.ts';
import { ownVersion } from './deployment.ts';
import { promoteFirst } from './promote-first.ts';
import type { Stoppable } from './run-until-stopped.ts';
import { removeSchedule } from './schedule-reconcile.ts';
import { stepLog } from './step-log.ts';
import { tellEvents } from './tell-events.ts';
import { watchReach } from './temporal-reach.ts';
import { workflowEnd } from './workflow-end.ts';
import { hasSwitched, isKnown, isRunning, toldToLastStep } from './workflow-runs.ts';

const concurrentSteps = 50;

/** The control worker: every workflow, and the activities on the registry. Any number may run. */
export async function createControlWorker(deps: {
  connection: NativeConnection;
  namespace: string;
  registry: Registry;
  orphanGraceSeconds: number;
  log?: Logger | undefined;
  /** How often it is looked for what Ferry needs in Temporal. */
  lookEveryMs?: number;
  /** The deployment whose versions hold on to what they began; none if not given. */
  deployment?: DeploymentConfiguration | undefined;
  /** Who is told what happened. */
  webhooks?: readonly WebhookConfiguration[];
}): Promise<Stoppable> {
  const { connection, namespace, registry, orphanGraceSeconds, deployment, webhooks = [], log } = deps;
  const client = new Client({ connection, namespace });
  const unwarranted = createRegistryActivities({ registry });
  const { finishAttach, switchVolume } = unwarranted;
  const connecting = { finishAttach, switchVolume };
  const steps = {
    ...unwarranted,
    ...requireWarrants<WritesConnection>(registryInputs, registryWarrants(registry), connecting),
  };
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: controlQueue,
    workflowBundle: await workflowBundle(),
    activities: {
      ...steps,
      ...createMoveActivities({
        registry,
        removeSchedule: (scheduleId) => removeSchedule(client, scheduleId),
        endOf: (workflowId, runId) => workflowEnd(client, workflowId, runId),
      }),
      ...createRepairActivities({
        registry,
        orphanGraceSeconds,
        isRunning: (workflowId) => isRunning(client, workflowId),
        hasSwitched: (run) => hasSwitched(client, run),
        isKnown: (run) => isKnown(client, run),
        toldToLastStep: (run, step) => toldToLastStep(client, run, step),
        lastSteps: steps,
      }),
      ...createNotificationActivities({ registry, webhooks }),
    },
    interceptors: {
      activity: [
        ...(log ? [() => ({ inbound: stepLog(log, { quiet: true }) })] : []),
        () => ({ inbound: activityFailures }),
      ],
    },
    maxConcurrentActivityTaskExecutions: concurrentSteps,
    ...(deployment === undefined ? {} : { workerDeploymentOptions: await pinned(deployment) }),
  });
  const keeping = await keepNamespace({ ...deps, everyMs: deps.lookEveryMs });
  const telling = await tellEvents({ registry, client, webhooks, log });
  const observing = observeRegistry(registry, Runtime.instance().metricMeter);
  const reach = await watchReach({ connection, namespace, taskQueue: controlQueue, worker, slots: concurrentSteps });
  const over = new AbortController();
  return {
    async run() {
      if (deployment !== undefined) void promoteFirst(client, namespace, deployment, over.signal);
      await worker.run().finally(() => (over.abort(), telling.stop(), observing.stop(), keeping.stop(), reach.stop()));
    },
    stop: () => shutdown(worker),
    refusedForMs: () => reach.refusedForMs(),
    whyNotReady: () => reach.why(),
  };
}

async function pinned(deployment: DeploymentConfiguration) {
  return {
    version: await ownVersion(deployment),
    useWorkerVersioning: true,
    defaultVersioningBehavior: 'PINNED',
  } as const;
}

/** Asks a worker to finish; asking twice, or after its end, is fine. */
export function shutdown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}
