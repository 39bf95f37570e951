import { proxyActivities } from '@temporalio/workflow';
import type { StorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { storageQueue } from '../../model/names.ts';
import { patienceSeconds } from './run-operation.ts';

type Work =
  | 'createDevice'
  | 'extendDevice'
  | 'snapshotDevice'
  | 'unsettleDevice'
  | 'fillDevice'
  | 'completeDevice'
  | 'digestFilled';

/**
 * Steps on a storage node that take as long as there are bytes to zero or to copy. They beat, so a dead worker is noticed, and end when
 * no byte is zeroed any more; a node
 * that is away for five minutes, or a step that fails twenty times (some three minutes), is given up.
 */
export function storageWork(node: string) {
  return proxyActivities<Pick<StorageActivities, Work>>({
    taskQueue: storageQueue(node),
    startToCloseTimeout: '7 days',
    heartbeatTimeout: '15s',
    scheduleToStartTimeout: '5m',
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: {
      initialInterval: '500ms',
      maximumInterval: '10s',
      maximumAttempts: 20,
      // The second is cured by the workflow: it has the export made anew.
      nonRetryableErrorTypes: ['NoProgress', 'SourceUnreachable'],
    },
  });
}

/** Deletions: what stays open is in somebody's use, who has to be asked; trying again for half a minute would only hide that. */
export function storageDeletion(node: string) {
  return proxyActivities<Pick<StorageActivities, 'hasDevice' | 'deleteDevice' | 'deleteSnapshotDevice'>>({
    taskQueue: storageQueue(node),
    startToCloseTimeout: '10m',
    heartbeatTimeout: '15s',
    scheduleToCloseTimeout: `${patienceSeconds}s`,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '500ms', maximumInterval: '10s', nonRetryableErrorTypes: ['DeviceInUse'] },
  });
}
