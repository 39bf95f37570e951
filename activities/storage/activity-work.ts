import { AsyncLocalStorage } from 'node:async_hooks';
import { Context } from '@temporalio/activity';
import { FerryError } from '../../model/errors.ts';
import { formatSeconds } from '../../model/sizes.ts';
import { beatEveryMs } from '../beating.ts';
import { Standing } from '../standing.ts';

/** What a step's beats say while it works on bytes. */
export interface WorkProgress {
  readonly bytesDone: number;
  readonly totalBytes: number;
}

interface Step {
  work: (WorkProgress & { standing: Standing }) | null;
  readonly signal: AbortSignal;
}

const steps = new AsyncLocalStorage<Step>();

/** Aborted when the work of the step under way makes no progress; undefined outside of one that looks at that. */
export function standstill(): AbortSignal | undefined {
  return steps.getStore()?.signal;
}

/**
 * Runs work on so many bytes. What it tells shows in the beats of the step that it is a part of, and until it is over that step fails with
 * `NoProgress` when it tells nothing new for too long. Elsewhere: only runs it.
 */
export async function workingOn<T>(totalBytes: number, work: (tell: (bytesDone: number) => void) => Promise<T>) {
  const step = steps.getStore();
  if (!step) return work(() => undefined);
  const tell = (bytesDone: number) => (step.work = { bytesDone, totalBytes, standing: new Standing() });
  tell(0);
  try {
    return await work(tell);
  } finally {
    step.work = null;
  }
}

/** A program that does not end when told to hangs in its device. Milliseconds. */
const endPatienceMs = 10_000;

/** As `beating`, for a step that may work on many bytes: its beats tell how many are done, and it ends when that stands still. */
export function beatingAtWork<I, O>(
  noProgressMs: number,
  activity: (input: I) => Promise<O>,
): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const stuck = new AbortController();
    const step: Step = { work: null, signal: AbortSignal.any([context.cancellationSignal, stuck.signal]) };
    const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
    const beat = () => {
      const { work } = step;
      if (!work) return context.heartbeat();
      const { standing, ...progress } = work;
      context.heartbeat(progress satisfies WorkProgress);
      if (standing.look() <= noProgressMs || stuck.signal.aborted) return;
      const error = noProgress(progress, noProgressMs);
      stuck.abort(error);
      setTimeout(() => giveUp(error), endPatienceMs).unref();
    };
    const timer = setInterval(beat, beatEveryMs);
    try {
      return await Promise.race([steps.run(step, () => activity(input)), given]);
    } finally {
      clearInterval(timer);
    }
  };
}

function noProgress({ bytesDone, totalBytes }: WorkProgress, ms: number): FerryError {
  return new FerryError(
    'NoProgress',
    `No byte was zeroed for ${formatSeconds(ms / 1000)} at ${bytesDone} of ${totalBytes}: the device hangs.`,
  );
}
