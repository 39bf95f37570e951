import { workflowInfo } from '@temporalio/workflow';

/** Who holds a claim or operation: one run of one workflow. A new run of the same id is another owner. */
export function workflowOwner(): string {
  const { workflowId, runId } = workflowInfo();
  return `${workflowId}/${runId}`;
}
