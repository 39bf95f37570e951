import { proxyActivities } from '@temporalio/workflow';
import type { ComputeActivities } from '../activities/compute/create-compute-activities.ts';
import type { MoveActivities } from '../activities/moves/create-move-activities.ts';
import type { NotificationActivities } from '../activities/notifications/create-notification-activities.ts';
import type { RegistryActivities } from '../activities/registry/create-registry-activities.ts';
import type { RepairActivities } from '../activities/repair/create-repair-activities.ts';
import type { StorageActivities } from '../activities/storage/create-storage-activities.ts';
import { computeQueue, controlQueue, storageQueue } from '../model/names.ts';

/**
 * The registry. Every statement is idempotent for its owner, and Postgres comes back: tried until it answers. Ten seconds are
 * far above any statement and below the patience of somebody who waits.
 */
export const registry = proxyActivities<RegistryActivities>({
  taskQueue: controlQueue,
  startToCloseTimeout: '10s',
  retry: { initialInterval: '200ms', maximumInterval: '10s' },
});

/** What repair asks of the registry and of Temporal; tried until both answer. A look at many owners takes longer than one statement. */
export const repair = proxyActivities<RepairActivities>({
  taskQueue: controlQueue,
  startToCloseTimeout: '60s',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

/** Tells events. A try waits for its receiver for ten seconds; when the next one is due stands in the registry. */
export const notifications = proxyActivities<NotificationActivities>({
  taskQueue: controlQueue,
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

/** The long steps on a storage node. */
type Transfers = 'pullVolume' | 'copyVolume' | 'digestVolume' | 'compareVolume' | 'unmapZeros';

/** What plans of many moves ask of the registry. Planning ten thousand volumes takes longer than one statement. */
export const moves = proxyActivities<Omit<MoveActivities, 'awaitMigration'>>({
  taskQueue: controlQueue,
  startToCloseTimeout: '60s',
  retry: { initialInterval: '200ms', maximumInterval: '10s' },
});

/** Waiting for a migration is bounded by the migration. */
export const migrations = proxyActivities<Pick<MoveActivities, 'awaitMigration'>>({
  taskQueue: controlQueue,
  startToCloseTimeout: '365 days',
  heartbeatTimeout: '15s',
  retry: { initialInterval: '500ms', maximumInterval: '10s' },
});

/**
 * Short steps on a storage node. They beat once a second, so fifteen seconds of silence mean that the worker is gone, not slow;
 * lvremove alone may take five. `patienceSeconds` bounds the wait for a node that is away, and all tries together.
 */
export function storageSteps(node: string, patienceSeconds: number) {
  return proxyActivities<Omit<StorageActivities, Transfers>>({
    taskQueue: storageQueue(node),
    startToCloseTimeout: '10m',
    heartbeatTimeout: '15s',
    scheduleToCloseTimeout: `${patienceSeconds}s`,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '500ms', maximumInterval: '10s' },
  });
}

/**
 * The long steps. They are bounded by progress, not by time: a beat a second, and the activity itself fails when no byte
 * moves. What can be cured by the workflow (the source's export is gone) is not retried blindly.
 */
export function storageTransfers(node: string, patienceSeconds: number) {
  return proxyActivities<Pick<StorageActivities, Transfers>>({
    taskQueue: storageQueue(node),
    startToCloseTimeout: '30 days',
    heartbeatTimeout: '15s',
    scheduleToStartTimeout: `${patienceSeconds}s`,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: {
      initialInterval: '500ms',
      maximumInterval: '10s',
      nonRetryableErrorTypes: ['SourceUnreachable', 'NoProgress'],
    },
  });
}

/**
 * Short steps beside a hypervisor. What can be cured by the workflow (the destination hangs, or is lost), or only by the
 * guest (it does not let go of a disk), is not retried blindly. `awaySeconds` bounds the wait for a worker that is away, `patienceSeconds` all tries together.
 */
export function computeSteps(node: string, patienceSeconds: number, awaySeconds = patienceSeconds) {
  return proxyActivities<Omit<ComputeActivities, 'mirrorDisk'>>({
    taskQueue: computeQueue(node),
    startToCloseTimeout: '10m',
    heartbeatTimeout: '15s',
    scheduleToStartTimeout: `${awaySeconds}s`,
    scheduleToCloseTimeout: `${patienceSeconds}s`,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: {
      initialInterval: '500ms',
      maximumInterval: '10s',
      nonRetryableErrorTypes: ['NoProgress', 'DeviceInUse'],
    },
  });
}

/** Watching a mirror: bounded by progress, not by time, as `storageTransfers` are. */
export function computeTransfers(node: string, patienceSeconds: number) {
  return proxyActivities<Pick<ComputeActivities, 'mirrorDisk'>>({
    taskQueue: computeQueue(node),
    startToCloseTimeout: '30 days',
    heartbeatTimeout: '15s',
    scheduleToStartTimeout: `${patienceSeconds}s`,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '500ms', maximumInterval: '10s', nonRetryableErrorTypes: ['NoProgress'] },
  });
}
