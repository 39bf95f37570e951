import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { FerryError } from '../model/errors.ts';
import { messages } from '../model/messages.ts';
import { controlQueue } from '../model/names.ts';
import { workflowResult } from './workflow-result.ts';
import type { Temporal } from './temporal.ts';
import { withdraw } from './withdraw.ts';

/** An operation begins within milliseconds; this is for a control worker that is busy or is being restarted. */
const beginMs = 15_000;

/**
 * Starts an operation's workflow and answers when it has begun, or with the refusal. Its result, when it had come to its end before it
 * was asked; else null. `ServiceUnreachable` means that nothing happens: what was started is taken back.
 */
export async function beginWorkflow<Result>(
  temporal: Temporal,
  { workflow, workflowId, summary, input }: { workflow: string; workflowId: string; summary: string; input: object },
): Promise<Result | null> {
  const requestId = randomUUID();
  const startWorkflowOperation = new WithStartWorkflowOperation<(input: object) => Promise<Result>>(workflow, {
    workflowId,
    taskQueue: controlQueue,
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    memo: { requestId },
    staticSummary: summary,
    args: [input],
  });
  try {
    await temporal.call(
      (client) =>
        client.workflow.executeUpdateWithStart<(input: object) => Promise<Result>, void, []>(messages.awaitBegin, {
          startWorkflowOperation,
        }),
      { deadlineMs: beginMs },
    );
    return null;
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    // It has ended without a beginning: its end is the answer.
    if (error.type === 'NotMigrating') return workflowResult(temporal, await startWorkflowOperation.workflowHandle());
    if (error.type === 'ServiceUnreachable') await withdraw(temporal, workflowId, requestId);
    throw error;
  }
}
