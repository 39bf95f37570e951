import { Context } from '@temporalio/activity';

/** A beat a second is cheap (the worker throttles what it sends) and tells a dead worker from a slow step. Milliseconds. */
export const beatEveryMs = 1000;

/** The same activity, with a heartbeat while it runs. */
export function beating<I, O>(activity: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const timer = setInterval(() => context.heartbeat(), beatEveryMs);
    try {
      return await activity(input);
    } finally {
      clearInterval(timer);
    }
  };
}
