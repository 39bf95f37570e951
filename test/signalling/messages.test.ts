import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, type ApplicationFailure, type Payload } from '@temporalio/common';
import fc from 'fast-check';
import { FerryError } from '../../model/errors.ts';
import { messages } from '../../model/messages.ts';
import { longestMessage } from '../../model/message-size.ts';
import type { MigrationState } from '../../model/migration.ts';
import type { RefusedOperation, Release } from '../../model/operation-requests.ts';
import { claimVolume } from '../../registry/claim.ts';
import { openRegistry, type Registry } from '../../registry/open-registry.ts';
import { resetState } from '../../registry/reset-state.ts';
import { migrationRequest } from '../../model/migration.ts';
import { setLightStage, type LightStage } from './moving-volume.ts';

let stage: LightStage;
let registry: Registry;
let volumeId: string;
let handle: WorkflowHandle;
before(async () => {
  stage = await setLightStage();
  registry = await openRegistry(stage.postgres.url);
  volumeId = await stage.volume();
  handle = await stage.moving(volumeId);
});
after(async () => {
  await registry?.close();
  await stage?.strike();
});

const state = () => handle.query<MigrationState>(messages.migrationState);
const ticket = (more: object = {}) => ({
  requestId: randomUUID(),
  operation: 'attach',
  volumeId,
  requestedBy: 'test',
  ...more,
});

/** The typed failure of an update. */
async function refused(update: Promise<unknown>): Promise<ApplicationFailure> {
  try {
    await update;
  } catch (error) {
    assert.ok(error instanceof WorkflowUpdateFailedError, String(error));
    return error.cause as ApplicationFailure;
  }
  assert.fail('it was not refused');
}

/** Payloads of every kind: what no schema fits, almost tickets, what cannot be decoded. */
const payload: fc.Arbitrary<Payload> = fc.oneof(
  fc.jsonValue().map((value) => defaultPayloadConverter.toPayload(value)),
  fc
    .record(
      {
        requestId: fc.anything(),
        operation: fc.string(),
        volumeId: fc.string(),
        requestedBy: fc.string(),
        replyTo: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) =>
      defaultPayloadConverter.toPayload(
        JSON.parse(JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v)) ?? 'null'),
      ),
    ),
  fc
    .record({
      encoding: fc.constantFrom('json/plain', 'binary/plain', 'binary/null', 'json/protobuf', 'nonsense', ''),
      data: fc.uint8Array({ maxLength: 200 }),
    })
    .map(({ encoding, data }) => ({ metadata: { encoding: Buffer.from(encoding) }, data })),
  fc.uint8Array({ maxLength: 50 }).map((data) => ({ data })),
);
const signal = fc.record({
  signalName: fc.constantFrom(
    messages.operationRequested,
    messages.operationRequested,
    messages.progressReported,
    messages.operationVerdict,
    'nobodyKnowsThis',
    '__proto__',
  ),
  payloads: fc.array(payload, { maxLength: 3 }),
});

test('a thousand random signals do not disturb a running migration', async () => {
  const signals = fc.sample(signal, 1000);
  const next = signals.values();
  const send = async () => {
    for (const { signalName, payloads } of next) {
      await stage.client.workflowService.signalWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId: handle.workflowId },
        signalName,
        input: { payloads },
        requestId: randomUUID(),
      });
    }
  };
  await Promise.all(Array.from({ length: 8 }, send));
  assert.equal((await state()).phase, 'copying');
  assert.equal((await handle.describe()).status.name, 'RUNNING');
  const { raw } = await handle.describe();
  assert.ok((raw.pendingWorkflowTask?.attempt ?? 1) <= 1, 'a workflow task fails again and again');
});

test('updates with garbage are refused with InvalidInput', async () => {
  for (const args of [
    [],
    [null],
    ['x'],
    [{ volumeId }],
    [ticket({ operation: 'eat' })],
    [ticket({ requestId: 'x'.repeat(10_000) })],
    // Nothing is wrong with it but that it is too long.
    [ticket({ more: 'x'.repeat(longestMessage) })],
  ]) {
    assert.equal(
      (await refused(handle.executeUpdate(messages.requestOperation, { args: args as [] }))).type,
      'InvalidInput',
    );
  }
});

test('signals that are too long are ignored, and a short one after them is heard', async () => {
  const before = (await state()).refusedOperations;
  for (const more of ['x'.repeat(1_900_000), Array.from({ length: longestMessage }, () => 0)])
    await handle.signal(messages.operationRequested, ticket({ more }));
  await handle.signal(messages.operationRequested, ticket());
  assert.equal((await state()).refusedOperations, before + 1);
});

test('a refused update leaves nothing in the history', async () => {
  const length = async () =>
    (await handle.fetchHistory()).events!.filter((e) => e.workflowExecutionUpdateAcceptedEventAttributes).length;
  const before = await length();
  assert.equal(
    (await refused(handle.executeUpdate(messages.requestOperation, { args: [ticket()] }))).type,
    'VolumeMigrating',
  );
  assert.equal(await length(), before);
});

test('a refused signal is remembered once, within bounds, and shown', async () => {
  const before = (await state()).refusedOperations;
  const again = ticket({ requestedBy: 'a `rude` service' });
  for (let i = 0; i < 55; i += 1) await handle.signal(messages.operationRequested, ticket());
  for (let i = 0; i < 3; i += 1) await handle.signal(messages.operationRequested, again);
  const list = await handle.query<RefusedOperation[]>(messages.refusedOperations);
  assert.equal((await state()).refusedOperations, before + 56);
  assert.equal(list.length, 50);
  assert.equal(list.filter((r) => r.requestId === again.requestId).length, 1);
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  assert.match(metadata.currentDetails, /refused: attach, asked by `a  rude  service`/);
});

test('the verdict is signalled back; somebody who is gone does not matter', async () => {
  await stage.client.workflow.start('nobodyRunsThis', { workflowId: 'asking', taskQueue: 'nobody' });
  await handle.signal(messages.operationRequested, ticket({ replyTo: { workflowId: 'gone' } }));
  const asked = ticket({ replyTo: { workflowId: 'asking' } });
  await handle.signal(messages.operationRequested, asked);
  for (;;) {
    const { events } = await stage.client.workflow.getHandle('asking').fetchHistory();
    const got = events!.find(
      (e) => e.workflowExecutionSignaledEventAttributes,
    )?.workflowExecutionSignaledEventAttributes;
    if (got) {
      assert.equal(got.signalName, messages.operationVerdict);
      const verdict = defaultPayloadConverter.fromPayload<{
        requestId: string;
        allowed: boolean;
        refusal: { type: string };
      }>(got.input!.payloads![0]!);
      assert.deepEqual(
        [verdict.requestId, verdict.allowed, verdict.refusal.type],
        [asked.requestId, false, 'VolumeMigrating'],
      );
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stage.client.workflow.getHandle('asking').terminate();
});

test('reset-state and a second migration in the middle of the first are refused, and the first ends well', async () => {
  const isMigrating = (error: unknown) => error instanceof FerryError && error.type === 'VolumeMigrating';
  await assert.rejects(resetState(registry, { volumeId, status: 'available' }), isMigrating);
  await assert.rejects(
    resetState(registry, { volumeId, status: 'error', detached: [], abandon: await owner() }),
    isMigrating,
  );
  const second = migrationRequest.parse({ volumeId, destination: 'server2@lvmstorage-2' });
  const claim = {
    request: second,
    migrationId: randomUUID(),
    owner: `migrate/${volumeId}/${randomUUID()}`,
    destinationNameId: randomUUID(),
  };
  await assert.rejects(claimVolume(registry, claim), isMigrating);
  const { exitCode, stderr } = await stage.ferry('migrate', volumeId, 'server2@lvmstorage-2', '--json');
  assert.equal(exitCode, 1);
  assert.match(stderr, /"type":"VolumeMigrating"/);
});

async function owner(): Promise<string> {
  return `${handle.workflowId}/${(await handle.describe()).runId}`;
}

test('five may wait for the end and are told the new host; the sixth is refused, and commands still get through', async () => {
  const waits = Array.from({ length: 5 }, () =>
    handle.startUpdate<Release, [unknown]>(messages.whenReleased, { args: [{}], waitForStage: 'ACCEPTED' }),
  );
  const accepted = await Promise.all(waits);
  const sixth = await refused(handle.executeUpdate<Release, [unknown]>(messages.whenReleased, { args: [{}] }));
  assert.equal(sixth.type, 'VolumeMigrating');
  await stage.finish(handle);
  for (const release of await Promise.all(accepted.map((update) => update.result()))) {
    assert.deepEqual([release.released, release.host], [true, 'server2@lvmstorage-2']);
  }
});
