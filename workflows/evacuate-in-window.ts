import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { ApplicationFailure, executeChild } from '@temporalio/workflow';
import * as z from 'zod';
import { evacuationRequest, type MovesReport } from '../model/evacuation.ts';
import { evacuationWorkflowId } from '../model/names.ts';
import { moves } from './activities.ts';
import { evacuateHost } from './evacuate-host.ts';

/**
 * What a schedule starts when a maintenance window opens: the evacuation under its usual id, so that it can be steered; a schedule's own
 * runs have a time in theirs. When the source is empty the schedule goes. Null when it is being evacuated already.
 */
export async function evacuateInWindow(input: unknown): Promise<MovesReport | null> {
  const parsed = evacuationRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const { source } = parsed.data;
  try {
    const report = await executeChild(evacuateHost, {
      workflowId: evacuationWorkflowId(source),
      parentClosePolicy: 'ABANDON',
      staticSummary: `evacuate ${source}`,
      args: [parsed.data],
    });
    if (report.outcome === 'emptied') await moves.removeSchedule({ source });
    return report;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}
