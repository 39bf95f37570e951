import {
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  isGrpcServiceError,
} from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  NamespaceNotFoundError,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import { temporalUnreachable } from '../configuration/temporal.ts';
import { FerryError, ferryErrorTypes, type FerryErrorType } from '../model/errors.ts';

/** Codes of gRPC, as far as they mean something to people. */
const grpc = {
  deadlineExceeded: 4,
  permissionDenied: 7,
  failedPrecondition: 9,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/**
 * What a server says that is just going down or coming up: cancelled, unknown, resource exhausted, aborted, internal, data loss. The
 * SDK tries most of them again itself, for a while.
 */
const passing: ReadonlySet<number> = new Set([1, 2, 8, 10, 13, 15]);

/** What an error of Temporal's SDK means in Ferry's words; null when Ferry does not know it. */
export function explainFailure(error: unknown, address: string): FerryError | null {
  if (error instanceof FerryError) return error;
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return noControlWorker(address);
  if (error instanceof WorkflowUpdateFailedError || error instanceof WorkflowFailedError)
    return failureMeaning(error.cause);
  if (error instanceof NamespaceNotFoundError) {
    return new FerryError(
      'InvalidInput',
      `Temporal at ${address} has no namespace ${error.namespace}. See TEMPORAL_NAMESPACE.`,
    );
  }
  return (
    grpcMeaning(error, address) ?? (error instanceof Error && error.cause ? grpcMeaning(error.cause, address) : null)
  );
}

/** The typed failure by which a workflow, or an update's handler or validator, ended. */
export function failureMeaning(cause: unknown): FerryError | null {
  if (cause instanceof ActivityFailure || cause instanceof ChildWorkflowFailure) return failureMeaning(cause.cause);
  if (cause instanceof ApplicationFailure) return applicationFailure(cause);
  if (cause instanceof CancelledFailure) return new FerryError('Cancelled', 'It was cancelled.', {}, { cause });
  if (cause instanceof TerminatedFailure || cause instanceof TimeoutFailure) {
    return new FerryError('ToolFailed', `Its workflow was ended from outside: ${cause.message}`, {}, { cause });
  }
  return null;
}

function applicationFailure(failure: ApplicationFailure): FerryError | null {
  const { type } = failure;
  if (type === 'AcceptedUpdateCompletedWorkflow') {
    return new FerryError('NotMigrating', 'The migration ended in the same moment.', {}, { cause: failure });
  }
  if (!isFerryErrorType(type)) return null;
  const details = failure.details?.[0];
  const known = typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : {};
  return new FerryError(type, failure.message, known, { cause: failure });
}

/** Temporal answers, but no worker takes what is asked of a workflow. */
export function noControlWorker(address: string): FerryError {
  return new FerryError(
    'ServiceUnreachable',
    `No control worker answers (Temporal at ${address} does). Start one: ferry worker control`,
    { service: 'control worker', address },
  );
}

/** Temporal's words for a workflow whose tasks end in nothing, time after time: it takes no update until one has come to an end. */
const stuckTasks = /Workflow Task in failed state/;

function stuckWorkflow(address: string, cause: unknown): FerryError {
  return new FerryError(
    'ServiceUnreachable',
    `The control workers do not get on with this workflow (Temporal at ${address} says that its tasks fail or time out). ` +
      'See their logs: they may be overloaded. Then try again.',
    { service: 'control worker', address },
    { cause },
  );
}

function grpcMeaning(error: unknown, address: string): FerryError | null {
  if (!isGrpcServiceError(error)) return notReady(error, address);
  switch (error.code as number) {
    case grpc.unavailable:
      return temporalUnreachable(address, error.details || 'unavailable', error);
    case grpc.deadlineExceeded:
      return temporalUnreachable(address, 'no answer in time', error);
    case grpc.failedPrecondition:
      return stuckTasks.test(error.details) ? stuckWorkflow(address, error) : null;
    case grpc.unauthenticated:
    case grpc.permissionDenied:
      return new FerryError(
        'Forbidden',
        `Temporal at ${address} does not accept the credentials: ${error.details}`,
        {},
        { cause: error },
      );
    default:
      return passing.has(error.code)
        ? temporalUnreachable(address, error.details || `code ${error.code}`, error)
        : null;
  }
}

/** What gRPC says of a connection that did not come about. */
function notReady(error: unknown, address: string): FerryError | null {
  const known = error instanceof Error && /Failed to connect before the deadline/.test(error.message);
  return known ? temporalUnreachable(address, 'no connection', error) : null;
}

function isFerryErrorType(type: unknown): type is FerryErrorType {
  return (ferryErrorTypes as readonly unknown[]).includes(type);
}
