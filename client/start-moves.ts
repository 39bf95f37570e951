import { WithStartWorkflowOperation } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { FerryError } from '../model/errors.ts';
import { messages } from '../model/messages.ts';
import { controlQueue } from '../model/names.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';

/** Planning ten thousand volumes takes seconds. */
const planMs = 60_000;

/**
 * Starts an evacuation or balancing and answers when its plan stands. `EvacuationRefused` when it cannot be carried out, or one of that
 * name runs already: then nothing was begun.
 */
export async function startMoves(
  context: Context,
  start: { workflow: string; workflowId: string; request: unknown; summary: string; running: string },
): Promise<{ planId: string }> {
  const temporal = await context.temporal();
  await waitForControlWorker(temporal);
  const startWorkflowOperation = new WithStartWorkflowOperation(start.workflow, {
    workflowId: start.workflowId,
    taskQueue: controlQueue,
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: start.summary,
    args: [start.request],
  });
  try {
    return await temporal.call(
      (client) =>
        client.workflow.executeUpdateWithStart<() => Promise<unknown>, { planId: string }, []>(messages.awaitPlan, {
          startWorkflowOperation,
        }),
      { deadlineMs: planMs },
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw new FerryError('EvacuationRefused', start.running);
    throw error;
  }
}
