import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CancellationScope, getExternalWorkflowHandle, startChild } from '@temporalio/workflow';
import type { KeptDevice } from '../model/kept-source.ts';
import { keptSourceWorkflowId } from '../model/names.ts';
import { expireKeptSource } from './expire-kept-source.ts';
import * as messages from './messages.ts';

/** Sees to it that a kept source will be removed, whatever becomes of the caller. False when that was seen to before. */
export async function watchKeptSource(kept: KeptDevice): Promise<boolean> {
  const { migrationId, volumeId, backEnd, deviceName } = kept;
  try {
    await startChild(expireKeptSource, {
      workflowId: keptSourceWorkflowId(migrationId),
      parentClosePolicy: 'ABANDON',
      args: [kept],
      staticSummary: `the kept source of volume ${volumeId}: ${deviceName} on ${backEnd}`,
      staticDetails:
        'Removes it when its time is over. Nobody waits for this. Cancelled or terminated, it is begun anew within a minute.',
    });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}

/** Lets the workflow look at once what the registry says of the kept source now. */
export async function tellKeptSource(migrationId: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(keptSourceWorkflowId(migrationId)).signal(messages.keptSourceChanged);
  } catch {
    // It has ended in the meantime.
  }
}

/** The volume is gone, and what was kept of it goes too, now. */
export async function removeKeptSources(kept: readonly KeptDevice[]): Promise<void> {
  await CancellationScope.nonCancellable(async () => {
    for (const each of kept) if (!(await watchKeptSource(each))) await tellKeptSource(each.migrationId);
  });
}
