import path from 'node:path';
import { exportPeers } from '../registry/export-peers.ts';
import { Client } from '@temporalio/client';
import { activityInfo } from '@temporalio/activity';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { NodeConfiguration } from '../configuration/schema.ts';
import { createCopier } from '../activities/storage/copier/create-copier.ts';
import type { TlsFiles } from '../activities/storage/copy-job.ts';
import { copySlots } from '../activities/storage/copy-slots.ts';
import { createDriver } from '../activities/storage/create-driver.ts';
import { createStorageActivities } from '../activities/storage/create-storage-activities.ts';
import { createQemuNbdExports } from '../activities/storage/exports/create-qemu-nbd-exports.ts';
import { createCutSilent } from '../activities/storage/exports/silent-clients.ts';
import { storageInputs } from '../activities/inputs/storage.ts';
import { requireWarrants } from '../activities/warrants/require-warrants.ts';
import { storageWarrants } from '../activities/warrants/storage-warrants.ts';
import { ownCompileCache } from '../activities/storage/own-compile-cache.ts';
import { runCommand } from '../activities/storage/run-command.ts';
import { storageQueue } from '../model/names.ts';
import type { Registry } from '../registry/open-registry.ts';
import { currentDevices } from '../registry/leftovers.ts';
import { isKeptSource } from '../registry/kept-sources.ts';
import { needsRepair } from '../registry/discrepancies.ts';
import { isCurrentLocation } from '../registry/volumes.ts';
import { registryTime, whereabouts } from '../registry/whereabouts.ts';
import { activityFailures } from './activity-failures.ts';
import { shutdown } from './control.ts';
import { everyFewSeconds } from './every-few-seconds.ts';
import { createOwnStorage } from './own-storage.ts';
import { startReporting } from './report-back-ends.ts';
import { reportProgress } from './report-progress.ts';
import { restoreExports } from './restore-exports.ts';
import { stepLog } from './step-log.ts';
import { watchReach } from './temporal-reach.ts';
import type { Stoppable } from './run-until-stopped.ts';

/** Steps under way at once, transfers that wait for their slot among them: what a node takes up is never what is waited for. */
const concurrentSteps = 500;

/** Who is silent in front of an export is cut after three seconds. Milliseconds. */
const cutSilentEveryMs = 2_000;

/**
 * The worker of one storage node: serves the node's back ends from the node's own queue and reports them to the registry.
 * Stopped, it lets go of its transfers at their last flushed byte.
 */
export async function createStorageWorker(deps: {
  connection: NativeConnection;
  namespace: string;
  registry: Registry;
  node: NodeConfiguration;
  log: Logger;
  noProgressSeconds: number;
}): Promise<Stoppable> {
  const { node, registry } = deps;
  const backEnds = node.backEnds.map((configured) => {
    const backEnd = `${node.name}@${configured.name}`;
    const storage = createDriver(configured, node.backEnds, runCommand);
    const own = createOwnStorage({ backEnd, storage, registry, log: deps.log });
    return { backEnd, own, driver: createDriver(configured, node.backEnds, runCommand, own.admit) };
  });
  const drivers = new Map(backEnds.map(({ backEnd, driver }) => [backEnd, driver]));
  const ownStorages = new Map(backEnds.map(({ backEnd, own }) => [backEnd, own]));
  const tls = node.tls ? clientTlsFiles(node.tls.directory) : null;
  const compileCache = process.env['NODE_COMPILE_CACHE'] || ((await ownCompileCache(node.stateDirectory)) ?? undefined);
  const copier = createCopier({ compileCache });
  const client = new Client({ connection: deps.connection, namespace: deps.namespace });
  const exports = createQemuNbdExports({
    stateDirectory: node.stateDirectory,
    address: node.address,
    ports: node.exportPorts,
    tls: node.tls ?? null,
    peersOf: node.tls?.peers === 'named' ? (exportName) => exportPeers(registry, exportName) : undefined,
    insecureNetwork: node.insecureNetwork,
    run: runCommand,
    compileCache,
  });
  const activities = createStorageActivities({
    drivers,
    copier,
    tls,
    slots: copySlots(node.maxConcurrentCopies),
    exports,
    isCurrentLocation: (backEnd, deviceName) => isCurrentLocation(registry, backEnd, deviceName),
    isKeptSource: (backEnd, deviceName) => isKeptSource(registry, backEnd, deviceName),
    currentDevices: (backEnd) => currentDevices(registry, backEnd),
    whereabouts: (volumeId, leftBy) => whereabouts(registry, volumeId, leftBy),
    needsRepair: (backEnd, volumeId) => needsRepair(registry, backEnd, volumeId),
    registryTime: () => registryTime(registry),
    noProgressMs: deps.noProgressSeconds * 1000,
    marksDirectory: path.join(node.stateDirectory, 'unmapped'),
    reportProgress: (progress) => reportProgress(client, activityInfo().workflowExecution!, progress, deps.log),
  });
  const worker = await Worker.create({
    connection: deps.connection,
    namespace: deps.namespace,
    taskQueue: storageQueue(node.name),
    activities: requireWarrants(storageInputs, storageWarrants(registry), activities),
    interceptors: { activity: [() => ({ inbound: stepLog(deps.log) }), () => ({ inbound: activityFailures })] },
    maxConcurrentActivityTaskExecutions: concurrentSteps,
    // A cancel or pause reaches a copy with the next beat that is sent: within a second.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  });
  let reporting: Awaited<ReturnType<typeof startReporting>> | undefined;
  const restoring = await everyFewSeconds(
    () => restoreExports({ drivers, exports, registry, log: deps.log, guestMigration: node.guestMigration }),
    (error) => deps.log.warn({ error: error.message }, 'the exports of attached volumes could not be looked at'),
  );
  const cutSilent = createCutSilent(node.exportPorts, runCommand);
  let said: string | null = null;
  const cutting = await everyFewSeconds(
    async () => {
      for (const client of await cutSilent())
        deps.log.warn({ client }, 'a connection to an export was cut, on which nothing was said');
    },
    ({ message }) => {
      if (message !== said) deps.log.warn({ error: message }, 'silent connections to exports cannot be cut');
      said = message;
    },
    cutSilentEveryMs,
  );
  const reach = await watchReach({
    connection: deps.connection,
    namespace: deps.namespace,
    taskQueue: storageQueue(node.name),
    worker,
    slots: concurrentSteps,
    onChange(why) {
      deps.log.warn({ why }, why === null ? 'work reaches this worker again' : 'no work reaches this worker');
      reporting?.now();
    },
  });
  const whyUnreachable = () => reach.why();
  reporting = await startReporting({ node, drivers, ownStorages, registry, log: deps.log, whyUnreachable });
  return {
    async run() {
      try {
        await worker.run();
      } finally {
        restoring.stop();
        cutting.stop();
        reporting?.stop();
        reach.stop();
        await copier.dispose();
      }
    },
    stop: () => shutdown(worker),
    refusedForMs: () => reach.refusedForMs(),
    whyNotReady: () => reach.why(),
  };
}

function clientTlsFiles(directory: string): TlsFiles {
  const file = (name: string) => path.join(directory, name);
  return { ca: file('ca-cert.pem'), cert: file('client-cert.pem'), key: file('client-key.pem') };
}
