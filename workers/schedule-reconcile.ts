import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { controlQueue, reconcileSchedule } from '../model/names.ts';

/**
 * Makes the schedule that looks every minute for what nobody carries on, unless it is there: then it stays as it is, also paused. May be
 * repeated, and called by several control workers at once.
 */
export async function scheduleReconcile(client: Client): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: reconcileSchedule,
      spec: { intervals: [{ every: '1m' }] },
      // A look that takes longer is enough for the minutes it takes; those that were missed are not made up for.
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1m' },
      action: {
        type: 'startWorkflow',
        workflowType: 'reconcile',
        workflowId: reconcileSchedule,
        taskQueue: controlQueue,
        args: [{}],
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}

/** Removes a schedule. Not there: done. */
export async function removeSchedule(client: Client, scheduleId: string): Promise<void> {
  try {
    await client.schedule.getHandle(scheduleId).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}

/** Whether the last run of the workflow has come to its own end, and that was no failure. Not known to Temporal: no. */
export async function hasCompleted(client: Client, workflowId: string): Promise<boolean> {
  return (await lastRun(client, workflowId))?.status.name === 'COMPLETED';
}

/** Whether a run of the workflow is under way. Not known to Temporal: no. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  const run = await lastRun(client, workflowId);
  return run !== null && run.closeTime === undefined;
}

/** Null: Temporal knows of none. */
async function lastRun(client: Client, workflowId: string): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
