import { proxyActivities } from '@temporalio/workflow';

/** A workflow of nobody's: does any activity on any queue that it is told to. */
export async function order(what: { queue: string; activity: string; input: unknown }): Promise<unknown> {
  const steps = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    taskQueue: what.queue,
    startToCloseTimeout: '60s',
    retry: { maximumAttempts: 3 },
  });
  return steps[what.activity]!(what.input);
}
