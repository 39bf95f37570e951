import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { FerryError } from '../../model/errors.ts';
import { messages, type Resolution } from '../../model/messages.ts';
import { controlQueue, reconcileSchedule } from '../../model/names.ts';
import type { GuestSide, RepairReport } from '../../model/repair.ts';
import { listAttachments } from '../../registry/attachments.ts';
import { listKeptSources } from '../../registry/kept-sources.ts';
import { findMigration } from '../../registry/migrations.ts';
import { noColumns } from '../../registry/rows.ts';
import { findVolume } from '../../registry/volumes.ts';
import { destination, source } from '../registry/world.ts';
import { playedQemu, PlayedNodes, untilCancelled } from './played-nodes.ts';

let nodes: PlayedNodes;
before(async () => {
  nodes = await PlayedNodes.start();
  // It would repair before the test does.
  await nodes.client.schedule.getHandle(reconcileSchedule).pause();
});
after(() => nodes?.stop());

const made = ['inspectDisk', 'prepareDestination', 'exportDestination', 'mirrorDisk'];
const turn = ['beginPivot', 'pivotDisk'];
const undone = ['abortMirror', 'removeExport', 'deleteDestination'];

/** The type of the failure that the workflow or update ended with. */
async function failure(of: Promise<unknown>): Promise<string> {
  try {
    await of;
    return 'success';
  } catch (error) {
    assert.ok(error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError, String(error));
    const cause = error.cause as { type?: string; name: string };
    return cause.type ?? cause.name;
  }
}

async function assertOn(volumeId: string, host: string, outcome: string): Promise<void> {
  const volume = await findVolume(nodes.registry, volumeId);
  assert.deepEqual([volume.host, volume.status, volume.migrationOwner], [host, 'in-use', null]);
  assert.equal((await findMigration(nodes.registry, volumeId)).outcome, outcome);
  const [attachment] = await listAttachments(nodes.registry, { volumeId });
  assert.deepEqual([attachment?.device, attachment?.connection?.['backEnd']], ['vdb', host]);
}

async function untilWaiting(handle: WorkflowHandle, what: RegExp): Promise<string> {
  for (let tries = 0; tries < 300; tries += 1) {
    const { waitingFor } = await nodes.state(handle);
    if (waitingFor && what.test(waitingFor)) return waitingFor;
    await sleep(100);
  }
  assert.fail(`it does not wait for ${what}`);
}

const resolveAs = (handle: WorkflowHandle, resolution: Resolution) =>
  handle.executeUpdate(messages.resolveParked, { args: [resolution] });

describe('a volume that a guest has', () => {
  test('moves: mirrored, turned, switched; only then is the source let go', async () => {
    const id = await nodes.attached();
    const handle = await nodes.migrate(id);
    assert.equal(await failure(handle.result()), 'success');
    assert.deepEqual(nodes.steps.slice(0, 6), [...made, ...turn]);
    assert.deepEqual(nodes.steps.slice(6).toSorted(), ['retireSource', 'settleDestination']);
    await assertOn(id, destination, 'success');
    const { events } = await handle.fetchHistory();
    assert.ok(events!.length < 140, `${events!.length} events`);
  });

  test('leaves its source to be kept; while a guest has it, it does not go back', async () => {
    const id = await nodes.attached();
    const handle = await nodes.migrate(id, { keepSourceSeconds: 86_400 });
    assert.equal(await failure(handle.result()), 'success');
    assert.deepEqual(nodes.steps.slice(6).toSorted(), ['keepSource', 'settleDestination']);
    await assertOn(id, destination, 'success');
    const { migrationId: undoes, keptUntil } = (await listKeptSources(nodes.registry, { volumeId: id }))[0]!;
    assert.ok(keptUntil > new Date());
    const undo = await nodes.migrate(id, { destination: source, undoes });
    assert.equal(await failure(undo.result()), 'VolumeStatusRefused');
    await assertOn(id, destination, 'success');
  });

  for (const verify of ['both', 'inline'] as const) {
    test(`is recorded without a proof or a digest where a node cannot compare, also when ${verify} was asked for`, async () => {
      const id = await nodes.attached();
      assert.equal(await failure((await nodes.migrate(id, { verify })).result()), 'success');
      const { outcome, proof, digest } = await findMigration(nodes.registry, id);
      assert.deepEqual([outcome, proof, digest], ['success', 'none', null]);
      assert.ok(!nodes.steps.includes('digestVolume'));
    });
  }

  test('stays where it is when its disk cannot be mirrored, and nothing is made', async () => {
    const id = await nodes.attached();
    nodes.next('inspectDisk', 'InstanceNotReady');
    assert.equal(await failure((await nodes.migrate(id)).result()), 'InstanceNotReady');
    assert.deepEqual(nodes.steps, ['inspectDisk']);
    await assertOn(id, source, 'error');
  });

  test('is paused for real: its mirror rests, and goes on', async () => {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    const handle = await nodes.migrate(id);
    await mirroring.begun;
    await handle.executeUpdate(messages.pauseMigration);
    while (!nodes.steps.includes('pauseMirror')) await sleep(50);
    await handle.executeUpdate(messages.resumeMigration);
    assert.equal(await failure(handle.result()), 'success');
    await assertOn(id, destination, 'success');
  });
});

describe('a mirror', () => {
  test('that somebody has paused in the hypervisor is told, and goes on where it is', async () => {
    const id = await nodes.attached();
    nodes.next('mirrorDisk', () => {
      throw new FerryError('NoProgress', 'Somebody has paused the mirror', { because: 'by-hand' });
    });
    const handle = await nodes.migrate(id);
    await untilWaiting(handle, /Somebody has paused/);
    assert.equal(await failure(handle.result()), 'success');
    assert.deepEqual(nodes.steps.slice(0, 7), [...made, 'mirrorDisk', ...turn]);
  });

  test('is not begun anew by a resume or a cap that changes nothing', async () => {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    const handle = await nodes.migrate(id, { bandwidth: 1024 ** 3 });
    await mirroring.begun;
    await handle.executeUpdate(messages.resumeMigration);
    await handle.executeUpdate(messages.setBandwidth, { args: [1024 ** 3] });
    // Longer than a cancel takes to reach the step.
    await sleep(2_000);
    mirroring.goOn();
    assert.equal(await failure(handle.result()), 'success');
    assert.equal(nodes.steps.filter((step) => step === 'mirrorDisk').length, 1);
    await assertOn(id, destination, 'success');
  });
});

describe('the destination is lost', () => {
  test('while it is mirrored: its export is brought back, and the mirror begins anew', async () => {
    const id = await nodes.attached();
    nodes.next('mirrorDisk', 'MirrorFailed', 'MirrorFailed');
    assert.equal(await failure((await nodes.migrate(id)).result()), 'success');
    const again = ['exportDestination', 'mirrorDisk'];
    assert.deepEqual(nodes.steps.slice(0, 10), [...made, ...again, ...again, ...turn]);
    await assertOn(id, destination, 'success');
  });

  test('while it is mirrored, because it has run full: it is not mirrored again, and all goes back', async () => {
    const id = await nodes.attached();
    nodes.next('mirrorDisk', 'MirrorFailed');
    nodes.during('exportDestination', ({ needsRoom }: { needsRoom?: boolean }) => {
      if (needsRoom) throw new FerryError('InsufficientSpace', 'played: the pool is full');
    });
    try {
      assert.equal(await failure((await nodes.migrate(id)).result()), 'InsufficientSpace');
      assert.deepEqual(nodes.steps, [...made, 'exportDestination', ...undone]);
      await assertOn(id, source, 'error');
    } finally {
      nodes.calm();
    }
  });

  test('just before the guest is turned: the same', async () => {
    const id = await nodes.attached();
    nodes.next('pivotDisk', 'MirrorFailed');
    nodes.next('mirrorDisk', () => {}, 'MirrorFailed');
    assert.equal(await failure((await nodes.migrate(id)).result()), 'success');
    const found = nodes.steps.filter((step) => /Disk|export/.test(step)).slice(3);
    assert.deepEqual(
      found,
      ['mirrorDisk', 'pivotDisk', 'mirrorDisk', 'exportDestination', 'mirrorDisk', 'pivotDisk'].slice(1),
    );
    await assertOn(id, destination, 'success');
  });

  test('it hangs while the guest is turned: its export ends, the guest is asked again, the export comes back', async () => {
    const id = await nodes.attached();
    nodes.next('pivotDisk', 'NoProgress');
    assert.equal(await failure((await nodes.migrate(id)).result()), 'success');
    assert.deepEqual(nodes.steps.slice(5, 9), ['pivotDisk', 'removeExport', 'pivotDisk', 'exportDestination']);
    await assertOn(id, destination, 'success');
  });
});

describe('a cancel', () => {
  test('in mid-mirror: the mirror ends before what was made is taken away', async () => {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    const handle = await nodes.migrate(id);
    await mirroring.begun;
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await failure(handle.result()), 'CancelledFailure');
    assert.deepEqual(nodes.steps, [...made, ...undone]);
    await assertOn(id, source, 'cancelled');
  });

  test('when the guest turned out to be on the destination already: goes forward', async () => {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    nodes.next('abortMirror', 'PastPointOfNoReturn');
    const handle = await nodes.migrate(id);
    await mirroring.begun;
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await failure(handle.result()), 'success');
    await assertOn(id, destination, 'success');
  });

  test('while the guest is turned: refused; the one of the Web UI changes nothing', async () => {
    const id = await nodes.attached();
    const { promise: goOn, resolve } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    nodes.next('pivotDisk', () => (begin(), goOn));
    const handle = await nodes.migrate(id);
    await begun;
    assert.equal(await failure(handle.executeUpdate(messages.cancelMigration)), 'PastPointOfNoReturn');
    await handle.cancel();
    resolve();
    assert.equal(await failure(handle.result()), 'success');
    await assertOn(id, destination, 'success');
  });

  test('while the compute worker is away: the end of the export ends the mirror', async () => {
    const id = await nodes.attached();
    nodes.next('mirrorDisk', ...Array<'ServiceUnreachable'>(1000).fill('ServiceUnreachable'));
    const handle = await nodes.migrate(id);
    while (!nodes.steps.includes('mirrorDisk')) await sleep(50);
    await nodes.stopCompute();
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await failure(handle.result()), 'CancelledFailure');
    await nodes.startCompute();
    assert.deepEqual(nodes.steps.slice(-2), ['removeExport', 'deleteDestination']);
    await assertOn(id, source, 'cancelled');
  });
});

describe('a hypervisor that is gone for good', () => {
  for (const [word, host, outcome] of [
    ['source', source, 'error'],
    ['destination', destination, 'success'],
  ] as const) {
    test(`in the middle of a turn is waited for until it is declared gone; then an operator says "${word}"`, async () => {
      const id = await nodes.attached();
      nodes.next('pivotDisk', ...Array<'NodeUnavailable'>(1000).fill('NodeUnavailable'));
      nodes.next('abortMirror', ...Array<'NodeUnavailable'>(1000).fill('NodeUnavailable'));
      const handle = await nodes.migrate(id, { nodeTimeoutSeconds: 2 });
      await untilWaiting(handle, /the hypervisor hv1/);
      await nodes.stopCompute();
      try {
        await nodes.registry.rows(noColumns, 'DELETE FROM compute_nodes');
        await untilWaiting(handle, /an operator/);
        await resolveAs(handle, word);
        assert.equal(await failure(handle.result()), word === 'source' ? 'NodeUnavailable' : 'success');
        await assertOn(id, host, outcome);
      } finally {
        await nodes.startCompute();
      }
    });
  }
});

describe('it cannot be told which side the guest writes to', () => {
  const parked = async (...turns: Parameters<PlayedNodes['next']>[1][]) => {
    const id = await nodes.attached();
    nodes.next('pivotDisk', ...turns);
    const handle = await nodes.migrate(id);
    const waiting = await untilWaiting(handle, /an operator/);
    return { id, handle, waiting };
  };

  test('nothing is deleted, a cancel is refused, and an operator finds it on the destination', async () => {
    const { id, handle, waiting } = await parked('ParkedForOperator');
    assert.match(waiting, new RegExp(`ferry migration resolve ${id}`));
    assert.equal(await failure(handle.executeUpdate(messages.cancelMigration)), 'ParkedForOperator');
    assert.deepEqual(nodes.steps, [...made, ...turn]);
    nodes.verdict = 'off-on-source';
    await resolveAs(handle, 'destination');
    assert.equal(await failure(handle.result()), 'success');
    await assertOn(id, destination, 'success');
  });

  test('nobody says a word: it looks again by itself, and goes on when it can be told', async () => {
    const { id, handle, waiting } = await parked('ParkedForOperator');
    assert.match(waiting, /an operator/);
    assert.equal(await failure(handle.result()), 'success');
    assert.deepEqual(nodes.steps.slice(0, 7), [...made, ...turn, 'pivotDisk']);
    assert.equal((await nodes.state(handle)).waitingFor, null);
    await assertOn(id, destination, 'success');
  });

  test('a word that is said while it looks again is taken', async () => {
    const look = untilCancelled();
    const looks = async () => {
      await look.turn();
      throw new FerryError('ParkedForOperator', 'nobody knows');
    };
    const { id, handle } = await parked('ParkedForOperator', looks);
    await look.begun;
    assert.match((await nodes.state(handle)).waitingFor ?? '', /an operator/);
    await resolveAs(handle, 'source');
    nodes.verdict = 'off-on-source';
    nodes.next('abortMirror', 'ParkedForOperator');
    look.goOn();
    assert.equal(await failure(handle.result()), 'ParkedForOperator');
    await assertOn(id, source, 'error');
  });

  test('an operator finds it on the source: all goes back', async () => {
    const { id, handle } = await parked('ParkedForOperator');
    nodes.next('abortMirror', 'ParkedForOperator');
    nodes.verdict = 'off-on-source';
    await resolveAs(handle, 'source');
    assert.equal(await failure(handle.result()), 'ParkedForOperator');
    assert.deepEqual(nodes.steps.slice(-3), undone);
    await assertOn(id, source, 'error');
  });

  test('an operator who is plainly wrong is not believed', async () => {
    const { id, handle } = await parked('ParkedForOperator');
    nodes.verdict = 'done';
    await resolveAs(handle, 'source');
    await untilWaiting(handle, /said "source", but the guest is on the destination/);
    assert.deepEqual(nodes.steps, [...made, ...turn, 'probeDisk']);
    await resolveAs(handle, 'probe');
    assert.equal(await failure(handle.result()), 'success');
    await assertOn(id, destination, 'success');
  });

  test('the guest runs on the source now, in another QEMU: "destination" needs it turned off, "source" is believed', async () => {
    const { id, handle } = await parked('ParkedForOperator');
    nodes.verdict = 'park';
    nodes.writesTo = 'source';
    await resolveAs(handle, 'destination');
    await untilWaiting(handle, /said "destination", but the guest is on the source. Turn it off first/);
    nodes.next('abortMirror', 'ParkedForOperator');
    await resolveAs(handle, 'source');
    assert.equal(await failure(handle.result()), 'ParkedForOperator');
    await assertOn(id, source, 'error');
  });

  test('a guest that is off after a turn of which nothing was heard is not taken for one that never turned', async () => {
    const { id, handle } = await parked('NoProgress', 'InstanceNotReady');
    nodes.verdict = 'off-on-source';
    await resolveAs(handle, 'source');
    assert.equal(await failure(handle.result()), 'InstanceNotReady');
    await assertOn(id, source, 'error');
  });

  test('a migration that waits for nobody cannot be resolved', async () => {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    const handle = await nodes.migrate(id);
    await mirroring.begun;
    assert.equal(await failure(resolveAs(handle, 'source')), 'InvalidInput');
    await handle.executeUpdate(messages.cancelMigration);
    await handle.result().catch(() => {});
  });
});

describe('its workflow is terminated, and the repair asks the guest', () => {
  const repair = async (
    volumeId: string,
    guestOn?: GuestSide,
  ): Promise<Pick<RepairReport['migrations'][number], 'direction' | 'state' | 'note'>[]> => {
    nodes.steps.length = 0;
    const report = await nodes.client.workflow.execute<(input: object) => Promise<RepairReport>>('reconcile', {
      taskQueue: controlQueue,
      workflowId: `reconcile-${randomUUID()}`,
      args: [{ volumeId, ...(guestOn ? { guestOn } : {}) }],
    });
    return report.migrations.map(({ direction, state, note }) => ({ direction, state, note }));
  };
  /** Terminated while a step is under way. */
  const terminatedAt = async (step: string) => {
    const id = await nodes.attached();
    const under = untilCancelled();
    nodes.next(step, under.turn);
    const handle = await nodes.migrate(id);
    await under.begun;
    await handle.terminate('injected');
    return id;
  };

  test('in mid-mirror: the mirror ends, all goes back', async () => {
    nodes.verdict = 'copying';
    const id = await terminatedAt('mirrorDisk');
    assert.deepEqual(await repair(id), [{ direction: 'back', state: 'repaired', note: null }]);
    assert.deepEqual(nodes.steps, ['probeDisk', 'abortMirror', 'removeExport', 'removeExport', 'deleteDestination']);
    await assertOn(id, source, 'error');
  });

  test('before anything was made: back, and no guest is asked', async () => {
    const id = await terminatedAt('prepareDestination');
    assert.deepEqual(await repair(id), [{ direction: 'back', state: 'repaired', note: null }]);
    assert.deepEqual(nodes.steps, ['removeExport', 'removeExport', 'deleteDestination']);
    await assertOn(id, source, 'error');
  });

  test('when the guest was turned already: the registry follows, all goes forward', async () => {
    nodes.verdict = 'done';
    const id = await terminatedAt('pivotDisk');
    assert.deepEqual(await repair(id), [{ direction: 'forward', state: 'repaired', note: null }]);
    assert.deepEqual(nodes.steps.slice(0, 3), ['probeDisk', 'exportDestination', 'pivotDisk']);
    assert.deepEqual(nodes.steps.slice(3).toSorted(), ['retireSource', 'settleDestination']);
    await assertOn(id, destination, 'success');
  });

  for (const [word, host, outcome] of [
    ['source', source, 'error'],
    ['destination', destination, 'success'],
  ] as const) {
    test(`at the turn, and the guest is off: an operator must tell, and says ${word}`, async () => {
      nodes.verdict = 'off-on-source';
      const id = await terminatedAt('pivotDisk');
      nodes.next('abortMirror', 'ParkedForOperator', 'ParkedForOperator');
      const [found] = await repair(id);
      assert.deepEqual([found?.direction, found?.state], ['parked', 'none']);
      assert.match(found?.note ?? '', new RegExp(`ferry migration resolve ${id}`));
      assert.deepEqual(nodes.steps, ['probeDisk', 'abortMirror']);
      const [resolved] = await repair(id, word);
      assert.equal(resolved?.state, 'repaired');
      await assertOn(id, host, outcome);
    });
  }

  test('which is told what QEMU was asked to turn it, and the destination by its name', async () => {
    nodes.verdict = 'not-started';
    const id = await terminatedAt('pivotDisk');
    await repair(id);
    assert.partialDeepStrictEqual(nodes.probed, { asked: playedQemu, destination: { kind: 'named' } });
  });

  for (const missing of ['DeviceMissing', 'BackEndUnavailable'] as const) {
    test(`the guest is on the destination, which is not seen (${missing}): waits, also when an operator says "source"`, async () => {
      nodes.verdict = 'done';
      const id = await terminatedAt('pivotDisk');
      nodes.next('exportDestination', ...Array<typeof missing>(200).fill(missing));
      for (const word of [undefined, 'source' as const]) {
        const [found] = await repair(id, word);
        assert.deepEqual([found?.direction, found?.state], ['parked', 'none']);
        assert.match(found?.note ?? '', /The guest is on the destination/);
      }
      nodes.calm();
      assert.deepEqual(await repair(id), [{ direction: 'forward', state: 'repaired', note: null }]);
      await assertOn(id, destination, 'success');
    });
  }

  test('an operator finds it on the destination while it runs on the source: it is to be turned off first', async () => {
    nodes.verdict = 'park';
    const id = await terminatedAt('pivotDisk');
    nodes.writesTo = 'source';
    const [found] = await repair(id, 'destination');
    assert.match(`${found?.state}: ${found?.note}`, /turn it off first/);
    nodes.writesTo = null;
    assert.equal((await repair(id, 'destination'))[0]?.direction, 'forward');
    assert.deepEqual(nodes.steps.slice(0, 3), ['probeDisk', 'exportDestination', 'pivotDisk']);
    await assertOn(id, destination, 'success');
  });

  test('an operator who is plainly wrong is not believed', async () => {
    nodes.verdict = 'copying';
    const id = await terminatedAt('mirrorDisk');
    assert.equal((await repair(id, 'destination'))[0]?.direction, 'back');
    await assertOn(id, source, 'error');
  });
});
