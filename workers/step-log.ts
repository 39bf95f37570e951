import { activityInfo } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import type { Logger } from 'pino';
import * as z from 'zod';

/** What steps are told of whose they are, under the names that they have everywhere. */
const ids = z.object({
  migrationId: z.string().optional().catch(undefined),
  volumeId: z.string().optional().catch(undefined),
  requestId: z.string().optional().catch(undefined),
  backEnd: z.string().optional().catch(undefined),
  exportName: z.string().optional().catch(undefined),
});

/** The ids in a step's input, also in the claim that comes with it. */
export function idsIn(input: unknown): z.infer<typeof ids> {
  const own = ids.safeParse(input).data ?? {};
  const claim = ids.safeParse((input as { claim?: unknown } | null | undefined)?.claim).data ?? {};
  const found = Object.entries({ ...claim, ...own }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as z.infer<typeof ids>;
}

/**
 * Says in the log how each step of this worker ended and how long it took, with the ids by which the lines of all workers about one migration,
 * volume or request are found. `quiet`: ends that are as they should be are for debugging only.
 */
export function stepLog(log: Logger, { quiet = false } = {}): ActivityInboundCallsInterceptor {
  return {
    async execute(input, next) {
      const { activityType, workflowExecution, attempt } = activityInfo();
      const workflowId = workflowExecution?.workflowId;
      const line = log.child({ step: activityType, workflowId, attempt, ...idsIn(input.args[0]) });
      const began = performance.now();
      const ms = () => Math.round(performance.now() - began);
      // The reconciler looks at everything every minute.
      const level = quiet || workflowId?.startsWith('reconcile') ? 'debug' : 'info';
      try {
        const result = await next(input);
        line[level]({ ms: ms() }, 'step done');
        return result;
      } catch (error) {
        if (error instanceof CancelledFailure) line.info({ ms: ms() }, 'step cancelled');
        else line.warn({ ms: ms(), error }, 'step failed');
        throw error;
      }
    },
  };
}
