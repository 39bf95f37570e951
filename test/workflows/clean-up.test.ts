import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { messages } from '../../model/messages.ts';
import { cleanUpWorkflowId, controlQueue, keptSourceWorkflowId } from '../../model/names.ts';
import { findMigration } from '../../registry/migrations.ts';
import { discardKeptSources, listKeptSources } from '../../registry/kept-sources.ts';
import { destination, putBackEnd, putVolume, source } from '../registry/world.ts';
import { PlayedNodes, untilCancelled } from './played-nodes.ts';

let nodes: PlayedNodes;
/** The exports that were ended, in order. */
let ended: string[];
before(async () => void (nodes = await PlayedNodes.start()));
after(() => nodes?.stop());
beforeEach(() => {
  nodes.steps.length = 0;
  nodes.calm();
  ended = [];
  nodes.during('removeExport', ({ exportName }: { exportName: string }) => void ended.push(exportName));
});

const removing = (exportName: string) => ({ kind: 'removeExport', backEnd: source, exportName });
const onDevice = (kind: string, volumeId: string = randomUUID()) => ({
  kind,
  backEnd: source,
  deviceName: `volume-${volumeId}`,
  volumeId,
  migrationId: randomUUID(),
  exportName: 'e',
});
const cleanUp = (steps: object[], id: string = randomUUID()) =>
  nodes.client.workflow.start('cleanUp', {
    taskQueue: controlQueue,
    workflowId: cleanUpWorkflowId(id),
    args: [{ volumeId: randomUUID(), after: 'a test', steps }],
  });

/** Until it pauses before its next round. */
async function paused(handle: WorkflowHandle): Promise<void> {
  for (;;) {
    const { events } = await handle.fetchHistory();
    if (events?.some((event) => event.timerStartedEventAttributes)) break;
    await sleep(100);
  }
  assert.equal((await handle.describe()).status.name, 'RUNNING');
}

describe('a clean-up', () => {
  for (const [kind, answer] of [
    ['settleDestination', 'DeviceMissing'],
    ['settleDestination', 'NotOwned'],
    ['retireSource', 'NotOwned'],
    ['retireSource', 'WrongDevice'],
    ['keepSource', 'DeviceMissing'],
    ['deleteDestination', 'NotOwned'],
    // A step that no node takes: it cannot succeed, however often.
    ['settleDestination', 'InvalidInput'],
    ['keepSource', 'InvalidInput'],
    // The registry knows no such migration, and no volume there.
    ['settleDestination', 'Forbidden'],
  ] as const)
    test(`ends when the node answers to ${kind} with ${answer}: there is nothing to do any more`, async () => {
      nodes.next(kind, answer);
      await (await cleanUp([onDevice(kind), removing('the next one')])).result();
      assert.deepEqual(ended, ['the next one']);
    });

  test('waits for the device that a volume is on by the registry, and that is missing', async () => {
    const volumeId = await volume();
    nodes.next('settleDestination', 'DeviceMissing');
    const handle = await cleanUp([onDevice('settleDestination', volumeId)]);
    await paused(handle);
    await handle.terminate();
  });

  test('waits where the registry does not want the step now, and may again', async () => {
    nodes.next('retireSource', 'Forbidden');
    const handle = await cleanUp([onDevice('retireSource')]);
    await paused(handle);
    await handle.terminate();
  });

  test('waits for a back end that is not available, and for a node that says what it cannot do', async () => {
    nodes.next('settleDestination', 'BackEndUnavailable', 'BackEndUnavailable', 'SizeMismatch');
    const handle = await cleanUp([onDevice('settleDestination'), removing('behind it')]);
    await paused(handle);
    assert.deepEqual(ended, [], 'the order on a node is kept');
    await handle.terminate();
  });

  test('that runs is given the steps of whoever would start it', async () => {
    const volumeId = await volume();
    const copying = untilCancelled();
    nodes.next('pullVolume', copying.turn);
    const migration = await nodes.migrate(volumeId);
    await copying.begun;
    const { migrationId } = await nodes.state(migration);
    const held = untilCancelled();
    nodes.next('removeExport', held.turn);
    const first = await cleanUp([removing('of the first')], migrationId);
    await held.begun;
    nodes.next('retireSource', 'SizeMismatch');
    copying.goOn();
    await migration.result();
    assert.equal((await findMigration(nodes.registry, migrationId)).outcome, 'success');
    while (nodes.steps.filter((step) => step === 'retireSource').length < 2) await sleep(50);
    assert.equal((await first.describe()).status.name, 'RUNNING', 'the first list is still under way');
    held.goOn();
    await first.result();
    assert.ok(ended.includes('of the first'));
  });

  test('loses no step that is sent while it ends, and does none twice that it has', async () => {
    const id = randomUUID();
    const names = Array.from({ length: 40 }, (_, i) => `export-${i}`);
    for (const name of names) {
      await nodes.client.workflow.signalWithStart('cleanUp', {
        taskQueue: controlQueue,
        workflowId: cleanUpWorkflowId(id),
        args: [{ volumeId: randomUUID(), after: 'a test', steps: [removing(name)] }],
        signal: messages.moreToCleanUp,
        signalArgs: [[removing(name)]],
      });
      await sleep(Math.random() * 20);
    }
    await nodes.client.workflow.getHandle(cleanUpWorkflowId(id)).result();
    assert.deepEqual(ended.toSorted(), names.toSorted());
  });

  test('ignores what nobody can understand', async () => {
    const held = untilCancelled();
    nodes.next('removeExport', held.turn);
    const handle = await cleanUp([removing('one')]);
    await held.begun;
    for (const sent of ['nonsense', [{ kind: 'removeExport' }], [null], null])
      await handle.signal(messages.moreToCleanUp, sent);
    await handle.signal(messages.moreToCleanUp, [removing('two')]);
    held.goOn();
    await handle.result();
    assert.deepEqual(ended.toSorted(), ['one', 'two']);
  });

  test('that is long goes on as a new run, with what is left', async () => {
    const many = Array.from({ length: 180 }, (_, i) => removing(`export-${i}`));
    nodes.next('keepSource', 'SizeMismatch');
    const handle = await cleanUp([...many, onDevice('keepSource'), removing('the last')]);
    await handle.result();
    assert.equal(ended.length, many.length + 1, 'nothing is done twice');
    const [first] = await Array.fromAsync(
      nodes.client.workflow.list({
        query: `WorkflowId = '${handle.workflowId}' AND ExecutionStatus = 'ContinuedAsNew'`,
      }),
    );
    assert.equal(first?.runId, handle.firstExecutionRunId);
  });

  test('of a kept source goes on as a new run when it has waited for long, and removes it in the end', async () => {
    const volumeId = await volume();
    const migration = await nodes.migrate(volumeId, { keepSourceSeconds: 3600 });
    await migration.result();
    const { migrationId } = await nodes.state(migration);
    const handle = nodes.client.workflow.getHandle(keptSourceWorkflowId(migrationId));
    const { runId } = await handle.describe();
    while ((await handle.describe()).runId === runId) {
      await handle.signal(messages.keptSourceChanged);
      await sleep(20);
    }
    assert.equal(
      (await nodes.client.workflow.getHandle(handle.workflowId, runId).describe()).status.name,
      'CONTINUED_AS_NEW',
    );
    await discardKeptSources(nodes.registry, volumeId);
    await handle.signal(messages.keptSourceChanged);
    await handle.result();
    assert.deepEqual(await listKeptSources(nodes.registry, { volumeId }), []);
    assert.ok(nodes.steps.includes('retireSource'));
  });
});

/** The steps of a migration that succeeded, in the order in which they were asked for. */
async function stepsOf(migration: WorkflowHandle) {
  await migration.result();
  const { events } = await migration.fetchHistory();
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: step }) =>
    step ? [{ name: step.activityType!.name!, at: String(step.workflowTaskCompletedEventId) }] : [],
  );
}

describe('a migration', () => {
  test('asks both ends at once before the switch, once there is nothing more to copy', async () => {
    const steps = await stepsOf(await nodes.migrate(await volume()));
    const of = (name: string) => steps.find((step) => step.name === name)?.at;
    assert.ok(of('checkSource'));
    assert.equal(of('checkSource'), of('proveDestination'));
    assert.ok(Number(of('checkSource')) > Number(of('pullVolume')));
    assert.ok(Number(of('checkSource')) < Number(of('switchVolume')));
  });

  const afterSettling = async (migration: WorkflowHandle) => {
    const names = (await stepsOf(migration)).map(({ name }) => name);
    return names.slice(names.indexOf('settleDestination') + 1);
  };

  test('takes the new device at its word for what is deleted at once', async () => {
    const steps = await afterSettling(await nodes.migrate(await volume()));
    assert.deepEqual(steps, ['retireSource', 'releaseVolume']);
  });

  for (const answer of ['NotProven', 'NotOwned'] as const)
    test(`asks where the volume is, and the device there, where its word does not count: ${answer}`, async () => {
      nodes.next('retireSource', answer);
      const steps = await afterSettling(await nodes.migrate(await volume()));
      assert.deepEqual(steps, ['retireSource', 'whereabouts', 'proveLive', 'retireSource', 'releaseVolume']);
    });
});

describe('a way back after the copy', () => {
  for (const [step, says, proof, kept] of [
    ['checkSource', 'that it holds the volume', undefined, false],
    ['checkSource', 'that it is not its device', 'WrongDevice', true],
    ['checkSource', 'nothing', 'NotProven', true],
    ['digestVolume', 'that it holds the volume', undefined, false],
    ['digestVolume', 'nothing', 'NotProven', true],
  ] as const)
    test(`${kept ? 'keeps' : 'takes away'} the copy when ${step} fails, and the source says ${says}`, async () => {
      nodes.next(step, 'WrongDevice');
      if (proof) nodes.next('proveLive', proof);
      await assert.rejects((await nodes.migrate(await volume(), { verify: 'both' })).result());
      assert.equal(nodes.steps.includes('deleteDestination'), !kept);
      assert.ok(nodes.steps.includes('releaseSource'));
    });
});

async function volume(): Promise<string> {
  for (const name of [source, destination]) await putBackEnd(nodes.registry, name);
  return putVolume(nodes.registry);
}
