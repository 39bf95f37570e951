import { ApplicationFailure, CancellationScope } from '@temporalio/workflow';
import * as z from 'zod';
import type { Reason } from '../../model/errors.ts';
import { tenantId, volumeId } from '../../model/ids.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { begin } from './begin.ts';

/** What every operation is started with. */
export const operationRequest = z.object({
  volumeId,
  /** The tenant who asks: the volume must be its own. Null for an administrator. */
  asTenant: tenantId.nullable().default(null),
});

/** How long a node may take for a step that takes a moment, its absence included. Somebody waits for it. */
export const patienceSeconds = 30;

/** How long a guest may take to let go of a disk, its hypervisor's absence included. */
export const releaseSeconds = 90;

/** The input as the schema has it; anything else ends the workflow with `InvalidInput`. */
export function parsed<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw ApplicationFailure.nonRetryable(z.prettifyError(result.error), 'InvalidInput');
}

/**
 * One operation on a volume: begun in the registry, which refuses what may not be now; done on the devices; ended in the registry,
 * well or not. A cancel reaches only the work: what was begun is always ended.
 */
export async function runOperation<Begun, Result>(steps: {
  begin: () => Promise<Begun>;
  work: (begun: Begun) => Promise<Result>;
  finish: (result: Result, begun: Begun) => Promise<void>;
  /** What must be told beside the reason, or nothing. */
  fail: (reason: Reason, begun: Begun) => Promise<string | void>;
}): Promise<Result> {
  const unstoppable = <T>(step: () => Promise<T>) => CancellationScope.nonCancellable(step);
  const begun = await begin(steps.begin);
  let result: Result;
  try {
    result = await steps.work(begun);
  } catch (error) {
    const reason = reasonOf(error);
    const told: Reason = reason.type === 'Cancelled' ? { ...reason, message: 'The operation was cancelled.' } : reason;
    const more = await unstoppable(() => steps.fail(told, begun));
    throw failureOf(more ? { ...told, message: `${told.message} ${more}` } : told);
  }
  await unstoppable(() => steps.finish(result, begun));
  return result;
}
