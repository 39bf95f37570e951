import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, WorkflowNotFoundError } from '@temporalio/common';
import type { Run } from '../activities/repair/owner-run.ts';

/** Whether a run of the workflow is under way. Not known to Temporal: no. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  const last = await described(client, { workflowId });
  return last !== null && last.closeTime === undefined;
}

/**
 * Whether that run has come to its own end, and that was no failure; or the last run of its workflow: one that was reset goes on as another
 * run. Not known to Temporal: no.
 */
export async function hasCompleted(client: Client, run: Run): Promise<boolean> {
  if (isWell(await described(client, run))) return true;
  return isWell(await described(client, { workflowId: run.workflowId }));
}

/**
 * What that run told an activity of that name when it asked for it last. Null: the run has not come to an end of its own, or failed, has not
 * asked for it, or is not known to Temporal.
 */
export async function toldToLastStep(client: Client, run: Run, step: string): Promise<unknown> {
  if (!isWell(await described(client, run))) return null;
  const { events } = await client.workflow.getHandle(run.workflowId, run.runId).fetchHistory();
  const asked = events?.map((event) => event.activityTaskScheduledEventAttributes);
  const [payload] = asked?.findLast((each) => each?.activityType?.name === step)?.input?.payloads ?? [];
  return payload == null ? null : defaultPayloadConverter.fromPayload(payload);
}

const isWell = (run: WorkflowExecutionDescription | null) => run?.status.name === 'COMPLETED';

/** Without a run, the workflow's last one. Null: Temporal knows of none. */
async function described(
  client: Client,
  { workflowId, runId }: { workflowId: string; runId?: string },
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
