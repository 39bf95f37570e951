import { CancellationScope, allHandlersFinished, condition, setHandler } from '@temporalio/workflow';
import type { Reason } from '../../model/errors.ts';
import { failureOf, reasonOf } from '../failures.ts';
import * as messages from '../messages.ts';

/**
 * Runs the work of a plan's workflow; who started it hears whether its plan stands (`awaitPlan`), as soon as `work` says `stands`, or
 * why not. A cancel reaches `work` by messages only: what was begun is brought to its end.
 */
export async function answeringForPlan<T>(planId: string, work: (stands: () => void) => Promise<T>): Promise<T> {
  let standing = false;
  let refused: Reason | null = null;
  return CancellationScope.nonCancellable(async () => {
    setHandler(messages.awaitPlan, async () => {
      await condition(() => standing || refused !== null);
      if (refused !== null) throw failureOf(refused);
      return { planId };
    });
    try {
      return await work(() => (standing = true));
    } catch (error) {
      if (standing) throw error;
      refused = reasonOf(error);
      await condition(allHandlersFinished);
      throw failureOf(refused);
    } finally {
      await condition(allHandlersFinished);
    }
  });
}
