import {
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  log,
  metricMeter,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import { metrics } from '../model/metrics.ts';
import {
  decideOperation,
  operationTicket,
  releaseWait,
  type OperationTicket,
  type OperationVerdict,
} from '../model/operation-requests.ts';
import { failureOf } from './failures.ts';
import * as messages from './messages.ts';
import type { MigrationRun } from './migration-run.ts';

/**
 * Temporal holds ten unfinished updates a workflow and completes two thousand: those who wait must leave room for a cancel and for
 * other questions. A refused update counts for neither.
 */
const waitersAtOnce = 5;
const waitersInAll = 1000;

/** Each reply is two events of at most fifty thousand; a service that asks without end must not bring the migration to its end. */
const repliesInAll = 1000;

const refusedCounter = metricMeter.createCounter(
  metrics.operationsRefused,
  undefined,
  'Operations that a running migration refused',
);
const malformedCounter = metricMeter.createCounter(
  metrics.malformedSignals,
  undefined,
  'Signals that could not be understood',
);

/** Lets other services ask a running migration whether they may touch its volume, and wait for its end. */
export function handleOperationMessages(run: MigrationRun): void {
  const since = workflowInfo().startTime.toISOString();
  const decide = (ticket: OperationTicket) => decideOperation({ ...run.state, since }, ticket);
  handleRequests(run, decide);
  handleWaiters(run);
}

function handleRequests(run: MigrationRun, decide: (ticket: OperationTicket) => OperationVerdict): void {
  let replies = 0;
  // A refusal is the validator's, which leaves nothing in the history: it may be asked as often as one likes.
  setHandler(messages.requestOperation, (payload) => decide(operationTicket.parse(payload)), {
    validator: (payload) => {
      const ticket = operationTicket.safeParse(payload);
      if (!ticket.success) throw failureOf(malformed(ticket.error));
      const { refusal } = decide(ticket.data);
      if (!refusal) return;
      countRefusal(ticket.data, 'update');
      throw failureOf(refusal);
    },
  });
  setHandler(messages.operationRequested, async (payload) => {
    const parsed = operationTicket.safeParse(payload);
    if (!parsed.success) {
      malformedCounter.add(1);
      log.warn('A signal that is no operation request is ignored.', {
        signal: messages.operationRequested.name,
        why: malformed(parsed.error).message,
      });
      return;
    }
    const verdict = decide(parsed.data);
    if (!verdict.allowed && run.refuse(parsed.data)) countRefusal(parsed.data, 'signal');
    if (!parsed.data.replyTo || replies >= repliesInAll) return;
    replies += 1;
    await reply(parsed.data.replyTo, verdict);
  });
  setHandler(messages.refusedOperations, () => run.refused);
}

/** Whoever asked may be gone: that is no matter of the migration's. */
async function reply(to: NonNullable<OperationTicket['replyTo']>, verdict: OperationVerdict): Promise<void> {
  try {
    await CancellationScope.nonCancellable(() =>
      getExternalWorkflowHandle(to.workflowId, to.runId).signal(to.signal, verdict),
    );
  } catch (error) {
    log.info('A verdict could not be delivered.', {
      to: to.workflowId,
      requestId: verdict.requestId,
      why: String(error),
    });
  }
}

function handleWaiters(run: MigrationRun): void {
  let waiting = 0;
  let inAll = 0;
  setHandler(
    messages.whenReleased,
    async (payload) => {
      const { waitSeconds } = releaseWait.parse(payload ?? {});
      waiting += 1;
      inAll += 1;
      try {
        const released = await CancellationScope.nonCancellable(() =>
          condition(() => run.state.phase === 'finished', `${waitSeconds}s`),
        );
        return { volumeId: run.request.volumeId, released, host: run.host, phase: run.state.phase };
      } finally {
        waiting -= 1;
      }
    },
    {
      validator: (payload) => {
        const parsed = releaseWait.safeParse(payload ?? {});
        if (!parsed.success) throw failureOf(malformed(parsed.error));
        if (waiting < waitersAtOnce && inAll < waitersInAll) return;
        throw ApplicationFailure.nonRetryable(
          `Enough services wait for the end of the migration of volume ${run.request.volumeId}. Ask again later, or with requestOperation.`,
          'VolumeMigrating',
          { volumeId: run.request.volumeId, phase: run.state.phase, waiting, retryAfter: 10 },
        );
      },
    },
  );
}

function countRefusal(ticket: OperationTicket, via: 'update' | 'signal'): void {
  refusedCounter.add(1, { operation: ticket.operation, via });
}

/** What is wrong with a payload; bounded, since anybody may have sent it. */
function malformed(error: z.ZodError): Reason {
  return { type: 'InvalidInput', message: z.prettifyError(error).slice(0, 1000) };
}
