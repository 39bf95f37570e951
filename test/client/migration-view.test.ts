import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey, TypedSearchAttributes } from '@temporalio/common';
import { viewOf } from '../../client/migration-view.ts';
import type { CopyProgress, MigrationState } from '../../model/migration.ts';
import { searchAttributes } from '../../model/search-attributes.ts';
import { sampleView } from './cli/sample-view.ts';

const { trouble: _none, ...state } = sampleView;
const progress: CopyProgress = {
  checkpoint: { offset: 4096, chain: '', zeroed: false, transferred: 4096 },
  position: 8192,
  totalBytes: state.totalBytes,
  bytesPerSecond: 1000,
};

function described(pending: object[], change: object = {}): WorkflowExecutionDescription {
  const attribute = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, 'KEYWORD'), value });
  return {
    runId: state.migrationId,
    status: { code: 1, name: 'RUNNING' },
    memo: { sizeBytes: 4096 },
    typedSearchAttributes: new TypedSearchAttributes([
      attribute(searchAttributes.source, 'a@1'),
      attribute(searchAttributes.destination, 'b@2'),
      attribute(searchAttributes.phase, 'verifying'),
      attribute(searchAttributes.flow, 'generic-detached'),
    ]),
    raw: { pendingActivities: pending },
    ...change,
  } as unknown as WorkflowExecutionDescription;
}
const beat = (value: unknown) => ({
  heartbeatDetails: { payloads: [defaultPayloadConverter.toPayload(value)] },
  attempt: 1,
});

test("the position is the running copy's own, from its last heartbeat", () => {
  const view = viewOf(state.volumeId, described([beat(undefined), beat({ other: 1 }), beat(progress)]), state);
  assert.deepEqual(view, { ...state, bytesDone: 8192, bytesPerSecond: 1000, trouble: null });
});

test('between copies it is what the workflow knows', () => {
  assert.deepEqual(viewOf(state.volumeId, described([]), state), { ...state, trouble: null });
});

test('a step that is tried again says what it failed with', () => {
  const failing = { attempt: 3, activityType: { name: 'createDevice' }, lastFailure: { message: 'no space' } };
  assert.equal(viewOf(state.volumeId, described([failing]), state).trouble, 'createDevice, try 3: no space');
});

test('of a mirror that its guest outpaces it is said what helps', () => {
  const trouble = (bandwidth: number | null) =>
    viewOf(state.volumeId, described([beat({ ...progress, outpaced: true })]), { ...state, bandwidth }).trouble;
  assert.match(
    trouble(1024 ** 2)!,
    new RegExp(`cap of 1\\.0 MiB/s; raise it: ferry migration set-bandwidth ${state.volumeId} `),
  );
  assert.match(trouble(null)!, /let it write less/);
});

test('while no control worker answers, the server knows enough', () => {
  const view = viewOf(state.volumeId, described([beat(progress)]), null);
  assert.deepEqual(
    [view.source, view.destination, view.phase, view.flow, view.totalBytes, view.bytesDone, view.waitingFor],
    ['a@1', 'b@2', 'verifying', 'generic-detached', state.totalBytes, 8192, 'a control worker'],
  );
});

test("another migration's word is not taken for this one's", () => {
  const other: MigrationState = { ...state, migrationId: 'another', phase: 'undoing' };
  assert.equal(viewOf(state.volumeId, described([]), other).phase, 'verifying');
});

test('of two devices that are read at once the one that has further to go is shown', () => {
  const behind = { ...progress, position: 4096 };
  for (const pending of [
    [beat(progress), beat(behind)],
    [beat(behind), beat(progress)],
  ])
    assert.equal(viewOf(state.volumeId, described(pending), state).bytesDone, 4096);
});

test('a destination that is being zeroed shows how far that is', () => {
  const zeroing = { ...progress, position: 0, checkpoint: { ...progress.checkpoint, offset: 0, zeroedBytes: 512 } };
  assert.equal(viewOf(state.volumeId, described([beat(zeroing)]), state).zeroedBytes, 512);
});
