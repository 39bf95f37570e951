import { activityInfo } from '@temporalio/activity';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createComputeActivities } from '../activities/compute/create-compute-activities.ts';
import { createCutConnection } from '../activities/compute/cut-connection.ts';
import { findQemuProcess } from '../activities/compute/qemu-process.ts';
import { createRedirectExports, redirectTable } from '../activities/compute/redirect-exports.ts';
import { resumeStoppedGuests } from '../activities/compute/resume-guest.ts';
import { createVirsh } from '../activities/compute/virsh.ts';
import { computeInputs } from '../activities/inputs/compute.ts';
import { computeWarrants } from '../activities/warrants/compute-warrants.ts';
import { requireWarrants } from '../activities/warrants/require-warrants.ts';
import { runCommand } from '../activities/storage/run-command.ts';
import type { ComputeConfiguration } from '../configuration/schema.ts';
import { computeQueue } from '../model/names.ts';
import { reportComputeNode } from '../registry/compute-nodes.ts';
import type { Registry } from '../registry/open-registry.ts';
import { createTending } from './tend-disks.ts';
import { activityFailures } from './activity-failures.ts';
import { shutdown } from './control.ts';
import { everyFewSeconds } from './every-few-seconds.ts';
import { followGuests } from './follow-guests.ts';
import { reportProgress } from './report-progress.ts';
import { stepLog } from './step-log.ts';
import { watchReach } from './temporal-reach.ts';
import type { Stoppable } from './run-until-stopped.ts';

/** A pivot or abort takes milliseconds: one that takes seconds waits for a destination that hangs. */
const cutAfterMs = 5_000;
const giveUpAfterMs = 60_000;

/** Steps under way at once: each is a few calls of virsh, and most of its time a wait. */
const concurrentSteps = 100;

/**
 * The worker beside one libvirtd: serves the hypervisor from its own queue, tells the registry that it is there, resumes guests that
 * stopped because their storage was away, and puts right what does not fit the attachments. Stopped, it leaves mirrors running: its next start takes them over.
 */
export async function createComputeWorker(deps: {
  connection: NativeConnection;
  namespace: string;
  registry: Registry;
  compute: ComputeConfiguration;
  log: Logger;
  noProgressSeconds: number;
}): Promise<Stoppable> {
  const { connection, namespace, registry, compute, log } = deps;
  const virsh = createVirsh({ uri: compute.libvirtUri, run: runCommand });
  const client = new Client({ connection, namespace });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: computeQueue(compute.name),
    activities: requireWarrants(
      computeInputs,
      computeWarrants(registry, compute.name),
      createComputeActivities({
        virsh,
        findQemuProcess,
        cut: createCutConnection(runCommand),
        cutAfterMs,
        giveUpAfterMs,
        noProgressMs: deps.noProgressSeconds * 1000,
        reportProgress: (progress) => reportProgress(client, activityInfo().workflowExecution!, progress, log),
      }),
    ),
    interceptors: { activity: [() => ({ inbound: stepLog(log) }), () => ({ inbound: activityFailures })] },
    maxConcurrentActivityTaskExecutions: concurrentSteps,
    // A cancel or pause reaches a mirror with the next beat that is sent: within a second.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  });
  const reach = await watchReach({
    connection,
    namespace,
    taskQueue: computeQueue(compute.name),
    worker,
    slots: concurrentSteps,
    onChange: (why) =>
      log.warn({ why }, why === null ? 'work reaches this worker again' : 'no work reaches this worker'),
  });
  const redirect = createRedirectExports({ table: redirectTable(compute), run: runCommand, findQemuProcess });
  const tend = createTending({ virsh, redirect, registry, name: compute.name, log });
  const rounds = [
    reach,
    await everyFewSeconds(
      // A worker that no work can reach is as good as none.
      async () => void (reach.why() ?? (await reportComputeNode(registry, compute.name))),
      (error) => log.warn({ error: error.message }, 'the compute node could not be reported'),
    ),
    await everyFewSeconds(
      () => followGuests({ virsh, registry, name: compute.name, log }),
      (error) => log.warn({ error: error.message }, 'guests that are being migrated could not be looked at'),
    ),
    await everyFewSeconds(
      async () => {
        const resumed = await resumeStoppedGuests(virsh);
        if (resumed.length > 0) log.info({ resumed }, 'guests go on whose storage was away');
        await tend();
      },
      (error) => log.warn({ error: error.message }, 'guests could not be looked at'),
    ),
  ];
  return {
    run: () =>
      worker.run().finally(() => {
        for (const round of rounds) round.stop();
      }),
    stop: () => shutdown(worker),
    refusedForMs: () => reach.refusedForMs(),
    whyNotReady: () => reach.why(),
  };
}
