import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, WorkflowNotFoundError } from '@temporalio/common';
import type { Run } from '../activities/repair/owner-run.ts';

/** Whether a run of the workflow is under way. Not known to Temporal: no. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  const last = await described(client, { workflowId });
  return last !== null && last.closeTime === undefined;
}

/** What a migration does last before, and first after, its point of no return. */
const switching = 'switchVolume';
const returning = 'returnToSource';

/**
 * Whether that run of a migration, or the last run of its workflow (one that was reset goes on as another run), has switched its volume: it has
 * come to its own end, and that was no failure; or it was ended later than that. Not known to Temporal: no.
 */
export async function hasSwitched(client: Client, run: Run): Promise<boolean> {
  for (const each of [run, { workflowId: run.workflowId }]) {
    const found = await described(client, each);
    if (isWell(found)) return true;
    // The one that is asked for may be the last.
    if (found === null || found.closeTime === undefined || (each !== run && found.runId === run.runId)) continue;
    const { events = [] } = await client.workflow.getHandle(run.workflowId, found.runId).fetchHistory();
    const asked = new Map(
      events?.map((e) => [String(e.eventId), e.activityTaskScheduledEventAttributes?.activityType?.name] as const),
    );
    const done = events?.map((e) => asked.get(String(e.activityTaskCompletedEventAttributes?.scheduledEventId)));
    if (done?.includes(switching) && !done.includes(returning)) return true;
  }
  return false;
}

/** Whether Temporal knows that run, as long as it keeps what is over. */
export async function isKnown(client: Client, run: Run): Promise<boolean> {
  return (await described(client, run)) !== null;
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
