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

/** Takes away what a migration leaves; what cannot be done in time is handed to the `cleanUp` workflow. Returns what was handed over. */
export async function cleanUpOrHandOver(
  of: { migrationId: string; volumeId: string },
  steps: readonly CleanUpStep[],
): Promise<CleanUpStep[]> {
  const left = await runCleanUp(steps, patienceSeconds);
  if (left.length === 0) return left;
  try {
    await startChild(cleanUp, {
      workflowId: cleanUpWorkflowId(of.migrationId),
      parentClosePolicy: 'ABANDON',
      args: [{ migrationId: of.migrationId, volumeId: of.volumeId, steps: left }],
      staticSummary: `clean up after the migration of ${of.volumeId}`,
      staticDetails:
        'The volume is released; nobody waits for this. It goes on until the nodes that hold what is left are back.',
    });
  } catch (error) {
    // Handed over before, by the migration itself or an earlier repair: those steps are these.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return left;
}
