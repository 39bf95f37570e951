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
      if (!(error instanceof FerryError)) throw error;
      metricMeter
        .createCounter(metrics.stepErrors, undefined, 'Refusals and failures of steps, by type')
        .add(1, { type: error.type });
      throw ApplicationFailure.create({
        type: error.type,
        message: error.message,
        nonRetryable: !error.retryable,
        details: [{ ...error.details, activity: activityInfo().activityType }],
        cause: error,
        ...(error.retryable ? {} : { category: 'BENIGN' as const }),
      });
    }
  },
};
