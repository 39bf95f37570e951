import { CancellationScope, allHandlersFinished, condition, setHandler } from '@temporalio/workflow';
import { failureOf, reasonOf } from '../failures.ts';
import { awaitBegin } from '../messages.ts';

/**
 * Begins an operation in the registry, which refuses what may not be now, and tells whoever asks with `awaitBegin` what came of it. A cancel
 * does not reach it: what has begun is always ended.
 */
export async function begin<Begun>(step: () => Promise<Begun>): Promise<Begun> {
  let verdict: { refusal: Error | null } | undefined;
  setHandler(awaitBegin, async () => {
    await CancellationScope.nonCancellable(() => condition(() => verdict !== undefined));
    if (verdict?.refusal) throw verdict.refusal;
  });
  return CancellationScope.nonCancellable(async () => {
    try {
      const begun = await step();
      verdict = { refusal: null };
      return begun;
    } catch (error) {
      const refusal = failureOf(reasonOf(error));
      verdict = { refusal };
      // Else the workflow would end before its answer.
      await condition(allHandlersFinished);
      throw refusal;
    }
  });
}
