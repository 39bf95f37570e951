import { randomUUID } from 'node:crypto';
import { controlQueue } from '../model/names.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { workflowResult } from './workflow-result.ts';

/** A question about a volume that a control worker asks of the nodes. */
export interface Question {
  workflow: string;
  volumeId: string;
  summary: string;
  input: object;
}

/** Asks it, each time anew; it may be asked often at once. `ServiceUnreachable` when there is no Temporal, or no control worker now. */
export async function askByWorkflow<Result>(context: Context, question: Question): Promise<Result> {
  const { workflow, volumeId, summary, input } = question;
  const temporal = await context.temporal();
  await waitForControlWorker(temporal, 0);
  const handle = await temporal.call((client) =>
    client.workflow.start<(input: object) => Promise<Result>>(workflow, {
      taskQueue: controlQueue,
      workflowId: `examine/${volumeId}/${randomUUID()}`,
      staticSummary: summary,
      args: [input],
    }),
  );
  return (await workflowResult(temporal, handle)) as Result;
}
