import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TerminatedFailure,
  TimeoutFailure,
  isCancellation,
} from '@temporalio/workflow';
import { ferryErrorTypes, type FerryErrorType, type Reason } from '../model/errors.ts';

/** Why a migration ended that somebody stopped. */
export const cancelled: Reason = { type: 'Cancelled', message: 'The migration was cancelled.' };

/** What a failed step says, as a reason for the audit record and the operator. */
export function reasonOf(error: unknown): Reason {
  if (isCancellation(error)) return cancelled;
  const cause = error instanceof ActivityFailure || error instanceof ChildWorkflowFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure && isFerryErrorType(cause.type)) {
    const details = cause.details?.[0];
    return { type: cause.type, message: cause.message, ...(isRecord(details) ? { details } : {}) };
  }
  if (cause instanceof TimeoutFailure) {
    const step = error instanceof ActivityFailure ? error.activityType : 'a step';
    const last = cause.cause instanceof ApplicationFailure ? ` Last error: ${cause.cause.message}` : '';
    return {
      type: 'NodeUnavailable',
      message: `No worker finished ${step} in time: the node is down, stopped or stuck.${last}`,
    };
  }
  if (cause instanceof TerminatedFailure) {
    return {
      type: 'Terminated',
      message: 'Its workflow was ended from outside; the repair finishes it or takes it back.',
    };
  }
  return { type: 'ToolFailed', message: cause instanceof Error ? cause.message : String(cause) };
}

/** The same reason as the failure that ends a workflow: typed, so that clients and parents need not read words. */
export function failureOf(reason: Reason): Error {
  return reason.type === 'Cancelled'
    ? new CancelledFailure(reason.message)
    : ApplicationFailure.create({
        type: reason.type,
        message: reason.message,
        nonRetryable: true,
        details: [reason.details ?? {}],
      });
}

function isFerryErrorType(type: unknown): type is FerryErrorType {
  return (ferryErrorTypes as readonly unknown[]).includes(type);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
