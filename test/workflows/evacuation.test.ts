import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WithStartWorkflowOperation, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import type { EvacuationRequestInput, MovesReport, MovesState } from '../../model/evacuation.ts';
import { messages } from '../../model/messages.ts';
import { balanceWorkflowId, controlQueue, evacuationWorkflowId } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { findBackEnd } from '../../registry/back-ends.ts';
import { findMigration } from '../../registry/migrations.ts';
import { findPlan, listMoves } from '../../registry/move-plans.ts';
import { noColumns } from '../../registry/rows.ts';
import { findVolume, listVolumes } from '../../registry/volumes.ts';
import { putAttachment, putBackEnd, putSnapshot, putVolume } from '../registry/world.ts';
import { PlayedNodes } from './played-nodes.ts';

const [a1, a2, b, c] = ['server1@a', 'server1@b', 'server2@a', 'server3@a'] as const;

let nodes: PlayedNodes;
let beats: NodeJS.Timeout;
before(async () => {
  nodes = await PlayedNodes.start(['server1', 'server2', 'server3']);
});
after(async () => {
  clearInterval(beats);
  await nodes?.stop();
});

async function beat(): Promise<void> {
  for (const name of [a1, a2, b, c])
    await putBackEnd(nodes.registry, name, { totalBytes: 20_000 * gib, freeBytes: 10_000 * gib });
}

beforeEach(async () => {
  clearInterval(beats);
  nodes.calm();
  nodes.left = [];
  for (const table of ['snapshots', 'attachments', 'volumes', 'back_ends'])
    await nodes.registry.rows(noColumns, `DELETE FROM ${table}`);
  await beat();
  beats = setInterval(() => void beat().catch(() => undefined), 5_000);
});

const volumes = (count: number, row: Record<string, unknown> = {}) =>
  Promise.all(Array.from({ length: count }, () => putVolume(nodes.registry, { host: a1, ...row })));

async function evacuate(request: Partial<EvacuationRequestInput> = {}): Promise<WorkflowHandle> {
  const source = request.source ?? 'server1';
  const start = new WithStartWorkflowOperation('evacuateHost', {
    workflowId: evacuationWorkflowId(source),
    workflowIdConflictPolicy: 'FAIL',
    taskQueue: controlQueue,
    args: [{ nodeTimeoutSeconds: 20, ...request, source }],
  });
  await nodes.client.workflow.executeUpdateWithStart(messages.awaitPlan, { startWorkflowOperation: start, args: [] });
  return start.workflowHandle();
}

const report = (handle: WorkflowHandle) => handle.result() as Promise<MovesReport>;
const state = (handle: WorkflowHandle) => handle.query<MovesState>(messages.movesState);

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await what()) return;
    await sleep(100);
  }
  assert.fail(`never: ${what.toString()}`);
}

/** Every copy waits until it is let go. */
function holdCopies(): { let: () => void; running: () => number; most: () => number } {
  let [running, most] = [0, 0];
  const { promise, resolve } = Promise.withResolvers<void>();
  nodes.during('pullVolume', async () => {
    running += 1;
    most = Math.max(most, running);
    await promise;
    running -= 1;
  });
  return { let: resolve, running: () => running, most: () => most };
}

describe('an evacuation', () => {
  test('disables every back end of the node, moves every volume, and fills the others evenly', async () => {
    const ids = [...(await volumes(8)), ...(await volumes(4, { host: a2, size_bytes: 3 * gib }))];
    const result = await report(await evacuate({ reason: 'new disks' }));
    assert.deepEqual([result.outcome, result.tally.volumes.moved, result.tally.bytes.moved], ['emptied', 12, 20 * gib]);
    for (const name of [a1, a2]) {
      const { disabled, disabledReason } = await findBackEnd(nodes.registry, name);
      assert.deepEqual([disabled, disabledReason], [true, 'new disks']);
    }
    const found = await Promise.all(ids.map((id) => findVolume(nodes.registry, id)));
    const gibOn = (host: string) => found.filter((v) => v.host === host).reduce((sum, v) => sum + v.sizeBytes / gib, 0);
    assert.deepEqual([gibOn(b), gibOn(c)], [10, 10]);
    const plan = await findPlan(nodes.registry, 'server1');
    assert.equal(plan?.outcome, 'emptied');
    assert.equal((await listMoves(nodes.registry, plan.id, { states: ['moved'] })).length, 12);
  });

  test('of one back end leaves the others of its node alone', async () => {
    const [stays] = await volumes(1, { host: a2 });
    await volumes(2);
    assert.equal((await report(await evacuate({ source: a1 }))).outcome, 'emptied');
    assert.equal((await findVolume(nodes.registry, stays!)).host, a2);
    assert.equal((await findBackEnd(nodes.registry, a2)).disabled, false);
  });

  test('keeps to its limits', async () => {
    await volumes(10);
    const copies = holdCopies();
    const limits = { total: 3, perSourceNode: 10, perDestinationNode: 2 };
    const handle = await evacuate({ limits });
    await until(async () => copies.running() === 3);
    copies.let();
    assert.equal((await report(handle)).outcome, 'emptied');
    assert.equal(copies.most(), 3);
  });

  test('leaves what cannot move, tells why, and moves the rest', async () => {
    const [snapshot, shared, ...rest] = await volumes(4);
    await putSnapshot(nodes.registry, snapshot!);
    for (const mode of ['rw', 'rw']) await putAttachment(nodes.registry, shared!, { mode });
    const result = await report(await evacuate());
    assert.deepEqual([result.outcome, result.tally.volumes.moved, result.tally.volumes.stays], ['incomplete', 2, 2]);
    const left = await listMoves(nodes.registry, result.planId, { states: ['stays'] });
    assert.deepEqual(
      new Map(left.map(({ volumeId, reasons }) => [volumeId, reasons.map(({ type }) => type)])),
      new Map([
        [snapshot!, ['VolumeHasSnapshots']],
        [shared!, ['VolumeStatusRefused']],
      ]),
    );
    for (const id of rest) assert.notEqual((await findVolume(nodes.registry, id)).host, a1);
  });

  test('that fits nowhere is refused as a whole, and nothing is touched', async () => {
    const [huge, small] = [...(await volumes(1, { size_bytes: 15_000 * gib })), ...(await volumes(1))];
    await assert.rejects(evacuate(), (error: Error & { cause?: { type?: string; message?: string } }) => {
      assert.equal(error.cause?.type, 'EvacuationRefused');
      assert.match(error.cause.message!, new RegExp(`1 of 2 volumes fit nowhere.*${huge}`, 's'));
      return true;
    });
    assert.equal((await findVolume(nodes.registry, small!)).host, a1);
    assert.equal((await findBackEnd(nodes.registry, a1)).disabled, false);
  });

  test('of what is not known, or to what cannot be used, is refused', async () => {
    const type = (request: Partial<EvacuationRequestInput>) =>
      evacuate(request).then(
        () => 'begun',
        (error: Error & { cause?: { type?: string } }) => error.cause?.type,
      );
    assert.equal(await type({ source: 'server9' }), 'BackEndNotFound');
    assert.equal(await type({ to: ['server9@a'] }), 'EvacuationRefused');
    assert.equal(await type({ to: [a2] }), 'EvacuationRefused');
  });

  test('meets volumes that are made, deleted, moved and held by others meanwhile', async () => {
    const [deleted, held, , elsewhere] = await volumes(4);
    const begin = `operation = 'extend', operation_owner = 'o', operation_since = now(), previous_status = 'available', status = 'extending'`;
    await nodes.registry.rows(noColumns, `UPDATE volumes SET ${begin} WHERE id = $1`, [held]);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 1 }, order: 'smallest' });
    await until(async () => copies.running() === 1);
    const running = (await state(handle)).running.map(({ volumeId }) => volumeId);
    const [gone, moved] = [deleted, elsewhere].map((id) => (running.includes(id!) ? null : id!));
    if (gone) await nodes.registry.rows(noColumns, 'DELETE FROM volumes WHERE id = $1', [gone]);
    if (moved) await nodes.registry.rows(noColumns, 'UPDATE volumes SET host = $2 WHERE id = $1', [moved, c]);
    const [made] = await volumes(1);
    copies.let();
    await until(async () => (await state(handle)).tally.volumes.later > 0);
    const end = `operation = NULL, operation_owner = NULL, operation_since = NULL, previous_status = NULL, status = 'available'`;
    await nodes.registry.rows(noColumns, `UPDATE volumes SET ${end} WHERE id = $1`, [held]);
    const result = await report(handle);
    assert.equal(result.outcome, 'emptied');
    for (const id of [held, made]) assert.notEqual((await findVolume(nodes.registry, id!)).host, a1);
    assert.deepEqual(await listVolumes(nodes.registry, { host: a1 }), []);
    assert.equal(result.tally.volumes.failed, 0);
  });

  test('is paused with its running moves, and goes on', async () => {
    await volumes(3);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 1 } });
    await until(async () => copies.running() === 1);
    await handle.executeUpdate(messages.pauseMoves);
    const [{ volumeId } = { volumeId: '' }] = (await state(handle)).running;
    const migration = nodes.client.workflow.getHandle(`migrate-${volumeId}`);
    await until(async () => (await nodes.state(migration)).paused);
    copies.let();
    await sleep(1_000);
    assert.equal((await state(handle)).tally.volumes.waiting, 2);
    await handle.executeUpdate(messages.resumeMoves);
    assert.equal((await report(handle)).outcome, 'emptied');
  });

  test('cancelled, begins nothing more; what runs ends', async () => {
    await volumes(5);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 2 } });
    await until(async () => copies.running() === 2);
    await handle.executeUpdate(messages.cancelMoves, { args: [{ running: 'finish' }] });
    copies.let();
    const result = await report(handle);
    assert.deepEqual([result.outcome, result.tally.volumes.moved, result.tally.volumes.waiting], ['cancelled', 2, 3]);
  });

  test("cancelled from Temporal's own Web UI, the same", async () => {
    await volumes(3);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 1 } });
    await until(async () => copies.running() === 1);
    await handle.cancel();
    await until(async () => (await state(handle)).cancelRequested);
    copies.let();
    const result = await report(handle);
    assert.deepEqual([result.outcome, result.tally.volumes.moved], ['cancelled', 1]);
  });

  test('cancelled with its running moves: their volumes stay where they were', async () => {
    const ids = await volumes(3);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 2 } });
    await until(async () => copies.running() === 2);
    await handle.executeUpdate(messages.cancelMoves, { args: [{ running: 'cancel' }] });
    copies.let();
    const result = await report(handle);
    assert.deepEqual([result.outcome, result.tally.volumes.moved], ['cancelled', 0]);
    for (const id of ids) assert.equal((await findVolume(nodes.registry, id)).host, a1);
  });

  test('stops after a failure if that is wanted, else goes on', async () => {
    await volumes(4);
    nodes.next('prepareDestination', 'DeviceExists');
    const limits = { total: 1 };
    const stopped = await report(await evacuate({ onFailure: 'stop', limits }));
    assert.deepEqual([stopped.outcome, stopped.tally.volumes.failed, stopped.tally.volumes.waiting], ['stopped', 1, 3]);
    nodes.next('prepareDestination', 'DeviceExists');
    const went = await report(await evacuate({ limits }));
    assert.deepEqual([went.outcome, went.tally.volumes.failed, went.tally.volumes.moved], ['incomplete', 1, 3]);
    const [failed] = await listMoves(nodes.registry, went.planId, { states: ['failed'] });
    assert.equal(failed?.reasons[0]?.type, 'DeviceExists');
  });

  test('tries a volume again, where there is room then, when its destination has failed; three times at most', async () => {
    const [id] = await volumes(1);
    nodes.next('pullVolume', 'DestinationWriteFailed');
    assert.equal((await report(await evacuate())).outcome, 'emptied');
    assert.notEqual((await findVolume(nodes.registry, id!)).host, a1);
    const [bad] = await volumes(1);
    nodes.next('pullVolume', ...Array.from({ length: 4 }, () => 'DestinationWriteFailed' as const));
    const result = await report(await evacuate());
    assert.deepEqual([result.outcome, result.tally.volumes.failed], ['incomplete', 1]);
    assert.equal((await findVolume(nodes.registry, bad!)).host, a1);
    const [failed] = await listMoves(nodes.registry, result.planId, { states: ['failed'] });
    assert.deepEqual([failed?.tries, failed?.reasons[0]?.type], [3, 'DestinationWriteFailed']);
  });

  test('shares its bandwidth among the moves, also when it is changed', async () => {
    await volumes(4);
    const caps: (number | null)[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    nodes.during('pullVolume', async ({ bandwidth }: { bandwidth: number | null }) => {
      caps.push(bandwidth);
      await promise;
    });
    const mib = 1024 ** 2;
    const handle = await evacuate({ bandwidth: 40 * mib, limits: { total: 4 } });
    await until(async () => caps.length === 4);
    assert.deepEqual(
      caps,
      Array.from({ length: 4 }, () => 10 * mib),
    );
    await handle.executeUpdate(messages.setMovesBandwidth, { args: [80 * mib] });
    const [{ volumeId } = { volumeId: '' }] = (await state(handle)).running;
    const migration = nodes.client.workflow.getHandle(`migrate-${volumeId}`);
    await until(async () => (await nodes.state(migration)).bandwidth === 20 * mib);
    await assert.rejects(handle.executeUpdate(messages.setMovesBandwidth, { args: ['fast'] }));
    resolve();
    assert.equal((await report(handle)).outcome, 'emptied');
  });

  test('begins when it is told to, and no move after its window', async () => {
    await volumes(4);
    const startAt = new Date(Date.now() + 2_000).toISOString();
    const copies = holdCopies();
    const handle = await evacuate({ startAt, windowSeconds: 4, limits: { total: 1 } });
    assert.equal((await findBackEnd(nodes.registry, a1)).disabled, false);
    await until(async () => copies.running() === 1);
    await sleep(4_000);
    copies.let();
    const result = await report(handle);
    assert.deepEqual([result.outcome, result.tally.volumes.moved], ['window-over', 1]);
  });

  test('cancelled before its time does nothing', async () => {
    const [id] = await volumes(1);
    const handle = await evacuate({ startAt: new Date(Date.now() + 3_600_000).toISOString() });
    await handle.executeUpdate(messages.cancelMoves, { args: [{ running: 'finish' }] });
    assert.equal((await report(handle)).outcome, 'cancelled');
    assert.equal((await findVolume(nodes.registry, id!)).host, a1);
  });

  test('runs once a source', async () => {
    await volumes(1);
    const copies = holdCopies();
    const handle = await evacuate();
    await assert.rejects(evacuate());
    copies.let();
    await report(handle);
  });

  test('terminated, leaves its moves to themselves; a new one does the rest', async () => {
    const ids = await volumes(3);
    const copies = holdCopies();
    const handle = await evacuate({ limits: { total: 1 } });
    await until(async () => copies.running() === 1);
    await handle.terminate();
    copies.let();
    await assert.rejects(handle.result(), WorkflowFailedError);
    assert.equal((await report(await evacuate())).outcome, 'emptied');
    for (const id of ids) {
      assert.notEqual((await findVolume(nodes.registry, id)).host, a1);
      assert.equal((await findMigration(nodes.registry, id)).outcome, 'success');
    }
  });
});

describe('a node is decommissioned', () => {
  const decommission = () =>
    nodes.client.workflow.execute('decommissionNode', {
      workflowId: 'decommission-server1',
      taskQueue: controlQueue,
      args: [{ source: 'server1', nodeTimeoutSeconds: 5 }],
    });

  test('when nothing is left on it', async () => {
    await volumes(2);
    const result = (await decommission()) as { decommissioned: boolean };
    assert.equal(result.decommissioned, true);
    assert.ok((await findBackEnd(nodes.registry, a1)).decommissionedAt);
  });

  test('not when a volume stays', async () => {
    const [id] = await volumes(1);
    await putSnapshot(nodes.registry, id!);
    const result = (await decommission()) as { decommissioned: boolean; left: string[] };
    assert.deepEqual([result.decommissioned, result.left], [false, ['the evacuation ended with: incomplete']]);
    assert.equal((await findBackEnd(nodes.registry, a1)).decommissionedAt, null);
  });

  test('not when something is left on its devices', async () => {
    nodes.left = [`volume-x on ${a1}`];
    const result = (await decommission()) as { decommissioned: boolean; left: string[] };
    assert.equal(result.decommissioned, false);
    assert.match(result.left.join(), /volume-x/);
  });
});

test('back ends are balanced', async () => {
  clearInterval(beats);
  await putBackEnd(nodes.registry, a1, { totalBytes: 100 * gib, freeBytes: 20 * gib });
  await putBackEnd(nodes.registry, a2, { totalBytes: 100 * gib, freeBytes: 55 * gib });
  await putBackEnd(nodes.registry, b, { totalBytes: 100 * gib, freeBytes: 90 * gib });
  await putBackEnd(nodes.registry, c, { totalBytes: 100 * gib, freeBytes: 55 * gib });
  await volumes(8, { size_bytes: 10 * gib });
  const result = (await nodes.client.workflow.execute('balanceBackEnds', {
    workflowId: balanceWorkflowId,
    taskQueue: controlQueue,
    args: [{ threshold: 0.1 }],
  })) as MovesReport;
  assert.equal(result.outcome, 'emptied');
  const moved = await listMoves(nodes.registry, result.planId, { states: ['moved'] });
  assert.ok(moved.length >= 3, String(moved.length));
  assert.ok(moved.every(({ source }) => source === a1));
});
