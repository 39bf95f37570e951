import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { getExternalWorkflowHandle, isCancellation, startChild } from '@temporalio/workflow';
import type { LiveProof } from '../model/device.ts';
import { cleanUpWorkflowId } from '../model/names.ts';
import { cleanUp } from './clean-up.ts';
import { runCleanUp, type CleanUpStep } from './clean-up-steps.ts';
import * as messages from './messages.ts';

/**
 * How long clean-up may hold the volume. A node that does not answer for longer is waited for by a workflow of its own,
 * and the volume is released. Above the five seconds that lvremove may take on a device that is just being closed.
 */
const patienceSeconds = 30;

/** Whose traces these are: a migration's, or those of an operation that came to nothing. */
export interface CleanUpCause {
  /** Makes the clean-up's workflow one of its kind. */
  id: string;
  volumeId: string;
  /** For people: "the migration of volume …". */
  after: string;
}

export function causeOf({ migrationId, volumeId }: { migrationId: string; volumeId: string }): CleanUpCause {
  return { id: migrationId, volumeId, after: `the migration of volume ${volumeId}` };
}

/**
 * Takes away what is left; what cannot be done in time is handed to the `cleanUp` workflow. Returns what was handed over. `proof`: what the
 * device that holds the volume has just said.
 */
export async function cleanUpOrHandOver(
  { id, volumeId, after }: CleanUpCause,
  steps: readonly CleanUpStep[],
  proof: LiveProof | null = null,
): Promise<CleanUpStep[]> {
  const left = await runCleanUp(steps, patienceSeconds, { proof });
  if (left.length > 0) await handOver({ id, volumeId, after }, left);
  return left;
}

/** To the `cleanUp` workflow of that cause: a new one, or the one that runs, for the workflow itself or an earlier repair. */
async function handOver({ id, volumeId, after }: CleanUpCause, steps: CleanUpStep[]): Promise<void> {
  const workflowId = cleanUpWorkflowId(id);
  for (;;) {
    try {
      await startChild(cleanUp, {
        workflowId,
        parentClosePolicy: 'ABANDON',
        args: [{ volumeId, after, steps }],
        staticSummary: `clean up after ${after}`,
        staticDetails:
          'The volume is released; nobody waits for this. It goes on until the nodes that hold what is left are back.',
      });
      return;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    try {
      await getExternalWorkflowHandle(workflowId).signal(messages.moreToCleanUp, steps);
      return;
    } catch (error) {
      if (isCancellation(error)) throw error;
      // It has ended in the meantime: a new one can be started.
    }
  }
}
