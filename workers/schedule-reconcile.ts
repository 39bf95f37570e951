import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type Client } from '@temporalio/client';
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
