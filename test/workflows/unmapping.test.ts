import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { messages } from '../../model/messages.ts';
import { findMigration } from '../../registry/migrations.ts';
import { PlayedNodes, untilCancelled } from './played-nodes.ts';

let nodes: PlayedNodes;
before(async () => {
  nodes = await PlayedNodes.start();
  nodes.zerosTakeRoom = true;
});
after(() => nodes?.stop());

const here = { job: 'copy-vdb-1', bytesDone: 7 };
const made = ['inspectDisk', 'prepareDestination', 'exportDestination', 'mirrorDisk'];
const unmapping = ['holdMirror', 'unmapZeros', 'endUnmapping', 'holdMirror'];
const settled = ['beginPivot', 'pivotDisk', 'retireSource', 'settleDestination'];
const undone = ['abortMirror', 'removeExport', 'deleteDestination'];

let id: string;
let rounds: number[];
beforeEach(async () => {
  id = await nodes.attached();
  rounds = [];
  nodes.during('unmapZeros', ({ round }: { round: number }) => void rounds.push(round));
  nodes.during('endUnmapping', ({ round }: { round: number }) => assert.equal(round, rounds.at(-1) ?? 1));
});

const ended = async (handle: WorkflowHandle) => {
  await handle.result().catch(() => {});
  return (await findMigration(nodes.registry, id)).outcome;
};
/** The last steps are done side by side. */
const steps = () => [...nodes.steps.slice(0, -2), ...nodes.steps.slice(-2).toSorted()];

describe('a volume of a guest whose destination is thin, but takes room for zeros', () => {
  test('has them unmapped while its mirror rests, which then goes on to its end', async () => {
    nodes.rests = [here, here];
    assert.equal(await ended(await nodes.migrate(id)), 'success');
    assert.deepEqual(steps(), [...made, ...unmapping, 'mirrorDisk', ...settled]);
  });

  test('takes its whole size when its mirror does not come to rest', async () => {
    nodes.rests = [null];
    assert.equal(await ended(await nodes.migrate(id)), 'success');
    assert.deepEqual(steps(), [...made, 'holdMirror', 'mirrorDisk', ...settled]);
  });

  for (const [how, then] of [
    ['wrote', { ...here, bytesDone: 8 }],
    ['was another', { ...here, job: 'copy-vdb-2' }],
    ['is gone', null],
  ] as const)
    test(`is mirrored from the start, and unmapped once more, when the mirror ${how} meanwhile`, async () => {
      nodes.rests = [here, then, here, here];
      assert.equal(await ended(await nodes.migrate(id)), 'success');
      const again = ['abortMirror', 'mirrorDisk', ...unmapping];
      assert.deepEqual(steps(), [...made, ...unmapping, ...again, 'mirrorDisk', ...settled]);
      assert.deepEqual(rounds, [1, 2]);
    });

  test('is mirrored and unmapped once more when the mirror is lost at the pivot, with a round of its own', async () => {
    nodes.rests = [here, here, here, here];
    nodes.next('pivotDisk', 'MirrorFailed');
    assert.equal(await ended(await nodes.migrate(id)), 'success');
    const once = [...unmapping, 'mirrorDisk', 'beginPivot', 'pivotDisk'];
    assert.deepEqual(nodes.steps.slice(0, -2), [...made, ...once, 'mirrorDisk', ...once]);
    assert.deepEqual(rounds, [1, 2]);
  });

  test('is never unmapped without an end: disturbed each time, it takes its whole size', async () => {
    nodes.rests = Array.from({ length: 10 }, (_, n) => ({ ...here, bytesDone: n }));
    assert.equal(await ended(await nodes.migrate(id)), 'success');
    assert.deepEqual(rounds, [1, 2, 3, 4, 5]);
  });

  test('goes back when it is cancelled in the middle of it; nothing is unmapped any more by then', async () => {
    nodes.rests = [here, here];
    const unmapped = untilCancelled();
    nodes.next('unmapZeros', unmapped.turn);
    const handle = await nodes.migrate(id);
    await unmapped.begun;
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await ended(handle), 'cancelled');
    assert.deepEqual(nodes.steps, [...made, ...unmapping.slice(0, 3), ...undone]);
  });

  test('goes back when it cannot be told that nothing is unmapped any more', async () => {
    nodes.rests = [here, here];
    nodes.next('endUnmapping', 'NotOwned');
    assert.equal(await ended(await nodes.migrate(id)), 'error');
    assert.deepEqual(nodes.steps, [...made, ...unmapping.slice(0, 3), ...undone]);
  });

  test('goes back when the destination cannot be read', async () => {
    nodes.rests = [here, here];
    nodes.next('unmapZeros', ...Array.from({ length: 2 }, () => 'NoProgress' as const));
    assert.equal(await ended(await nodes.migrate(id)), 'error');
    assert.deepEqual(nodes.steps, [...made, ...unmapping.slice(0, 3), ...undone]);
  });

  test('paused in the middle of it, rests; resumed, goes on', async () => {
    nodes.rests = [here, here];
    const unmapped = untilCancelled();
    nodes.next('unmapZeros', unmapped.turn);
    const handle = await nodes.migrate(id);
    await unmapped.begun;
    await handle.executeUpdate(messages.pauseMigration);
    while (!nodes.steps.includes('pauseMirror')) await sleep(50);
    await handle.executeUpdate(messages.resumeMigration);
    assert.equal(await ended(handle), 'success');
    assert.deepEqual(steps(), [...made, ...unmapping, 'pauseMirror', 'mirrorDisk', ...settled]);
  });
});
