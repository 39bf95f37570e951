import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ServiceError,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  NamespaceNotFoundError,
  RetryState,
  TerminatedFailure,
} from '@temporalio/common';
import { explainFailure } from '../../client/temporal-failures.ts';

const address = '127.0.0.1:7233';
const grpcError = (code: number, details: string) =>
  new ServiceError('Failed', { cause: Object.assign(new Error(details), { code, details, metadata: {} }) });

test("a workflow's typed failure keeps its type, words and details, however deep it lies", () => {
  const failure = ApplicationFailure.create({
    type: 'BackEndDown',
    message: 'It is down.',
    details: [{ backEnd: 'a@b' }],
  });
  const activity = new ActivityFailure(
    'Activity failed',
    'beginCreate',
    '1',
    RetryState.NON_RETRYABLE_FAILURE,
    'w',
    failure,
  );
  for (const error of [
    new WorkflowUpdateFailedError('failed', failure),
    new WorkflowFailedError('failed', failure, RetryState.NON_RETRYABLE_FAILURE),
    new WorkflowFailedError('failed', activity, RetryState.NON_RETRYABLE_FAILURE),
  ]) {
    const meaning = explainFailure(error, address);
    assert.deepEqual(
      [meaning?.type, meaning?.message, meaning?.details],
      ['BackEndDown', 'It is down.', { backEnd: 'a@b' }],
    );
  }
});

test('cancelled, terminated and closed in the same moment are told apart', () => {
  const failed = (cause: Error) =>
    explainFailure(new WorkflowFailedError('failed', cause, RetryState.NON_RETRYABLE_FAILURE), address)?.type;
  assert.equal(failed(new CancelledFailure('x')), 'Cancelled');
  assert.equal(failed(new TerminatedFailure('x')), 'ToolFailed');
  const late = ApplicationFailure.nonRetryable('x', 'AcceptedUpdateCompletedWorkflow');
  assert.equal(explainFailure(new WorkflowUpdateFailedError('failed', late), address)?.type, 'NotMigrating');
});

test('a server that does not answer is unreachable, in one line that names its address', () => {
  for (const error of [
    grpcError(14, 'connect\n ECONNREFUSED'),
    grpcError(4, 'deadline'),
    grpcError(2, 'going down'),
    new Error('Failed to connect before the deadline'),
  ]) {
    const meaning = explainFailure(error, address);
    assert.equal(meaning?.type, 'ServiceUnreachable');
    assert.match(
      meaning.message,
      /^Temporal at 127\.0\.0\.1:7233 cannot be reached \(.*\)\. Is it running\? See TEMPORAL_ADDRESS\.$/,
    );
  }
});

test('an update that nobody takes means that no control worker runs', () => {
  const meaning = explainFailure(new WorkflowUpdateRPCTimeoutOrCancelledError('deadline'), address);
  assert.equal(meaning?.type, 'ServiceUnreachable');
  assert.match(meaning.message, /ferry worker control/);
});

test('a workflow whose tasks time out on overloaded control workers says so', () => {
  const words = 'Unable to perform workflow execution update due to Workflow Task in failed state.';
  const meaning = explainFailure(grpcError(9, words), address);
  assert.equal(meaning?.type, 'ServiceUnreachable');
  assert.match(meaning.message, /overloaded/);
  assert.equal(explainFailure(grpcError(9, 'something else'), address), null);
});

test('credentials and namespaces that are wrong are said to be so', () => {
  assert.match(
    explainFailure(grpcError(16, 'no token'), address)?.message ?? '',
    /does not accept the credentials: no token/,
  );
  assert.match(
    explainFailure(new NamespaceNotFoundError('prod'), address)?.message ?? '',
    /no namespace prod\. See TEMPORAL_NAMESPACE/,
  );
});

test('what Ferry does not know is left alone', () => {
  assert.equal(explainFailure(new TypeError('a bug'), address), null);
  assert.equal(
    explainFailure(new WorkflowUpdateFailedError('failed', ApplicationFailure.nonRetryable('x', 'TypeError')), address),
    null,
  );
});
