import { ApplicationFailure, log, metricMeter, type WorkflowInterceptors } from '@temporalio/workflow';
import { isTooLong, tooLong } from '../model/message-size.ts';
import { metrics } from '../model/metrics.ts';

const malformedCounter = metricMeter.createCounter(
  metrics.malformedSignals,
  undefined,
  'Signals that could not be understood',
);

/** Of every workflow: a signal that is too long is ignored, an update refused before anything of it comes into the history. */
export const interceptors = (): WorkflowInterceptors => ({
  inbound: [
    {
      async handleSignal(input, next) {
        if (!isTooLong(input.args)) return next(input);
        malformedCounter.add(1);
        log.warn('A signal that is too long is ignored.', { signal: input.signalName });
      },
      validateUpdate(input, next) {
        if (isTooLong(input.args)) throw ApplicationFailure.nonRetryable(tooLong(input.name), 'InvalidInput');
        return next(input);
      },
    },
  ],
});
