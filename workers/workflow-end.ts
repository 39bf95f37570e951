import { WorkflowFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { ferryErrorTypes, type FerryErrorType, type Reason } from '../model/errors.ts';

/** Waits for that run of a workflow to close; why it failed, or null when it did not. */
export async function workflowEnd(client: Client, workflowId: string, runId: string): Promise<Reason | null> {
  try {
    await client.workflow.getHandle(workflowId, runId).result();
    return null;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof CancelledFailure) return { type: 'Cancelled', message: cause.message };
    if (cause instanceof TerminatedFailure)
      return { type: 'Terminated', message: 'Its workflow was ended from outside.' };
    const type = ferryErrorTypes.find((each) => cause instanceof ApplicationFailure && cause.type === each);
    return { type: type ?? ('ToolFailed' satisfies FerryErrorType), message: cause?.message ?? error.message };
  }
}
