import type { Temporal } from './temporal.ts';

/**
 * Who was told of an error must not see it happen later: what was started, and not answered in time, is taken back. Only this very
 * request's run (`memo.requestId`): by now another's may have the id.
 */
export async function withdraw(temporal: Temporal, workflowId: string, requestId: string): Promise<void> {
  try {
    const { runId, memo } = await temporal.call((client) => client.workflow.getHandle(workflowId).describe(), {
      deadlineMs: 3000,
    });
    if (memo?.['requestId'] !== requestId) return;
    await temporal.call((client) => client.workflow.getHandle(workflowId, runId).cancel(), { deadlineMs: 3000 });
  } catch {
    // Not there, or out of reach: the caller hears of the first error.
  }
}
