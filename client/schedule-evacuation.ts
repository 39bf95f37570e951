import { ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import type { EvacuationRequest } from '../model/evacuation.ts';
import { FerryError } from '../model/errors.ts';
import { controlQueue, evacuationWorkflowId } from '../model/names.ts';
import type { Temporal } from './temporal.ts';

/** Evacuates whenever the cron line (UTC) says so; what was scheduled for the source before is replaced. */
export async function scheduleEvacuation(temporal: Temporal, request: EvacuationRequest, cron: string): Promise<void> {
  const scheduleId = evacuationWorkflowId(request.source);
  await unscheduleEvacuation(temporal, request.source).catch((error: unknown) => {
    if (!(error instanceof FerryError) || error.type !== 'NotEvacuating') throw error;
  });
  await temporal.call((client) =>
    client.schedule.create({
      scheduleId,
      spec: { cronExpressions: [cron] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP },
      action: {
        type: 'startWorkflow',
        workflowType: 'evacuateInWindow',
        workflowId: `window-${scheduleId}`,
        taskQueue: controlQueue,
        args: [request],
      },
    }),
  );
}

/** `NotEvacuating` when nothing is scheduled for the source. */
export async function unscheduleEvacuation(temporal: Temporal, source: string): Promise<void> {
  try {
    await temporal.call((client) => client.schedule.getHandle(evacuationWorkflowId(source)).delete());
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    throw new FerryError('NotEvacuating', `No evacuation of ${source} is scheduled.`);
  }
}
