import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { startChild } from '@temporalio/workflow';
import { cleanUpWorkflowId } from '../model/names.ts';
import { cleanUp } from './clean-up.ts';
import { runCleanUp, type CleanUpStep } from './clean-up-steps.ts';

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

/** Takes away what is left; what cannot be done in time is handed to the `cleanUp` workflow. Returns what was handed over. */
export async function cleanUpOrHandOver(
  { id, volumeId, after }: CleanUpCause,
  steps: readonly CleanUpStep[],
): Promise<CleanUpStep[]> {
  const left = await runCleanUp(steps, patienceSeconds);
  if (left.length === 0) return left;
  try {
    await startChild(cleanUp, {
      workflowId: cleanUpWorkflowId(id),
      parentClosePolicy: 'ABANDON',
      args: [{ volumeId, after, steps: left }],
      staticSummary: `clean up after ${after}`,
      staticDetails:
        'The volume is released; nobody waits for this. It goes on until the nodes that hold what is left are back.',
    });
  } catch (error) {
    // Handed over before, by the workflow itself or an earlier repair: those steps are these.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return left;
}
