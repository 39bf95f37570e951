import { activityInfo, cancellationSignal, metricMeter } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { FerryError } from '../model/errors.ts';
import { metrics } from '../model/metrics.ts';

/**
 * Turns Ferry's errors into Temporal failures that keep type and details, so that the workflow sees whether a retry can help.
 * What was thrown because the activity was cancelled becomes the cancellation itself, whatever wrapped it on the way.
 */
export const activityFailures: ActivityInboundCallsInterceptor = {
  async execute(input, next) {
    try {
      return await next(input);
    } catch (error) {
      if (cancellationSignal().aborted && !(error instanceof FerryError)) throw cancellationSignal().reason;
      const { attempt } = activityInfo();
      const known = error instanceof FerryError ? error : (refusedForGood(error, attempt) ?? bug(error, attempt));
      if (known === null) throw error;
      metricMeter
        .createCounter(metrics.stepErrors, undefined, 'Refusals and failures of steps, by type')
        .add(1, { type: known.type });
      const isBenign = !known.retryable && known.type !== 'Unexpected';
      throw ApplicationFailure.create({
        type: known.type,
        message: known.message,
        nonRetryable: !known.retryable,
        details: [{ ...known.details, activity: activityInfo().activityType }],
        cause: known,
        ...(isBenign ? { category: 'BENIGN' as const } : {}),
      });
    }
  },
};

/** SQLSTATEs of a value that no statement takes (22), of a row that breaks a rule (23), and of a statement that is wrong (42). */
const refuses = /^(22|23|42)/;
/** Of these what others can cure meanwhile: a schema that is newer or older than this worker in an update. A right is one too, and told as such. */
const curable: ReadonlySet<string> = new Set(['42P01', '42703', '42883', '42704']);
/** A rule may be broken only as long as somebody else is half through, and a bug show only in one state of things. */
const triesOfRules = 5;

/** What only code that is wrong throws, whatever the world does. */
const ofBugs = [TypeError, RangeError, ReferenceError, SyntaxError] as const;

/** A bug that the same step meets again and again; null: it is none, or may be gone the next time. One of a system call has its code. */
function bug(error: unknown, attempt: number): FerryError | null {
  if (attempt < triesOfRules || !ofBugs.some((type) => error instanceof type)) return null;
  const { name, message, cause } = error as Error;
  // A request that failed on its way is told as a TypeError with the reason in it.
  if (cause !== undefined) return null;
  return new FerryError('Unexpected', `A bug of Ferry's (${name}): ${message}`, { code: name }, { cause: error });
}

/** What Postgres says to the same step each time; null: it may be another answer the next time, or it is not Postgres that speaks. */
function refusedForGood(error: unknown, attempt: number): FerryError | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  const { code, message } = error;
  if (!/^[0-9A-Z]{5}$/.test(code) || !refuses.test(code) || curable.has(code)) return null;
  if (code.startsWith('23') && attempt < triesOfRules) return null;
  return new FerryError(
    'Unexpected',
    `Postgres refuses it each time (${code}): ${message}`,
    { code },
    { cause: error },
  );
}
