import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { FerryError } from '../../model/errors.ts';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput } from '../../model/migration.ts';
import { findMigration } from '../../registry/migrations.ts';
import { findVolume } from '../../registry/volumes.ts';
import { destination, source } from '../registry/world.ts';
import { PlayedNodes, untilCancelled } from './played-nodes.ts';

let nodes: PlayedNodes;
before(async () => {
  nodes = await PlayedNodes.start();
  nodes.compares = true;
});
after(() => nodes?.stop());

const made = ['inspectDisk', 'prepareDestination', 'exportDestination', 'mirrorDisk'];
const compared = ['exportSource', 'compareVolume'];
const turned = ['beginPivot', 'pivotDisk'];
const settled = ['retireSource', 'settleDestination'];
const undone = ['abortMirror', 'removeExport', 'removeExport', 'deleteDestination'];

let id: string;
beforeEach(async () => {
  id = await nodes.attached();
  nodes.verdict = 'ready';
  nodes.position = { bytesDone: 7, totalBytes: 7, speed: 0, paused: false };
  nodes.unproven = 0;
});

async function ended(handle: WorkflowHandle) {
  await handle.result().catch(() => {});
  const { outcome, proof, evidence, error } = await findMigration(nodes.registry, id);
  const { host, status } = await findVolume(nodes.registry, id);
  const stands = { host, status };
  assert.deepEqual(stands, { host: outcome === 'success' ? destination : source, status: 'in-use' });
  return { outcome, proof, evidence, error: error?.type ?? null };
}
const migrated = async (request: Partial<MigrationRequestInput> = {}) => ended(await nodes.migrate(id, request));
/** The last steps are done side by side. */
const steps = (last = 2) => [...nodes.steps.slice(0, -last), ...nodes.steps.slice(-last).toSorted()];
const differs =
  (offset = 0) =>
  () => {
    const checkpoint = { offset, chain: '', zeroed: false, transferred: 0, unproven: 0 };
    throw new FerryError('ChecksumMismatch', 'played: other bytes', { checkpoint });
  };
const proven = { source: 'server', destination: 'comparison', copiedAgain: 0 };

describe('a mirror that is ready', () => {
  test('is compared before the guest is turned; the record says so', async () => {
    assert.deepEqual(await migrated(), { outcome: 'success', proof: 'compared', evidence: proven, error: null });
    assert.deepEqual(steps(), [...made, ...compared, ...turned, ...settled]);
    const { phases } = await findMigration(nodes.registry, id);
    assert.deepEqual(
      phases.map(({ phase }) => phase),
      ['claiming', 'preparing', 'copying', 'verifying', 'switching', 'cleaning-up', 'finished'],
    );
  });

  test('and a guest that writes all the time: what was left out is on record', async () => {
    nodes.unproven = 8192;
    assert.deepEqual((await migrated()).evidence, { ...proven, unprovenBytes: 8192 });
  });

  for (const verify of ['none', 'inline'] as const)
    test(`is not compared when ${verify} was asked for; the record says that`, async () => {
      assert.deepEqual(await migrated({ verify }), { outcome: 'success', proof: 'none', evidence: null, error: null });
      assert.deepEqual(steps(), [...made, ...turned, ...settled]);
    });

  test('is looked at once more where it was only behind', async () => {
    nodes.position = { ...nodes.position, bytesDone: 6 };
    const from: number[] = [];
    nodes.during('compareVolume', (input: { from: { offset: number } }) => void from.push(input.from.offset));
    nodes.next('compareVolume', differs(64 * 1024 ** 2));
    assert.deepEqual((await migrated()).evidence, proven);
    assert.deepEqual(from, [64 * 1024 ** 2]);
    const again = ['compareVolume', 'probeDisk', 'compareVolume'];
    assert.deepEqual(steps(), [...made, 'exportSource', ...again, ...turned, ...settled]);
  });

  test('begins anew when it has brought all, and both sides differ for good', async () => {
    nodes.next('compareVolume', differs(), differs());
    assert.deepEqual((await migrated()).evidence, { ...proven, copiedAgain: 1 });
    const first = ['exportSource', 'compareVolume', 'probeDisk', 'compareVolume', 'abortMirror'];
    assert.deepEqual(steps(), [...made, ...first, 'mirrorDisk', ...compared, ...turned, ...settled]);
  });

  test('that is no better the second time: the volume stays, and all is taken back', async () => {
    nodes.next('compareVolume', differs(), differs(), differs(), differs());
    const { outcome, error } = await migrated();
    assert.deepEqual([outcome, error], ['error', 'ChecksumMismatch']);
    assert.ok(!nodes.steps.includes('beginPivot'));
    assert.deepEqual(nodes.steps.slice(-4).toSorted(), undone.toSorted());
  });

  for (const [how, stands] of [
    ['is lost', () => (nodes.verdict = 'not-started')],
    ['was paused by somebody', () => (nodes.position = { ...nodes.position, paused: true })],
  ] as const)
    test(`and ${how} meanwhile is put right, and compared from the start`, async () => {
      stands();
      nodes.next('compareVolume', differs());
      assert.deepEqual((await migrated()).evidence, proven);
      const lost = ['exportSource', 'compareVolume', 'probeDisk', 'mirrorDisk'];
      assert.deepEqual(steps(), [...made, ...lost, ...compared, ...turned, ...settled]);
    });

  test('and is lost at the pivot: the new one is compared as well', async () => {
    nodes.next('pivotDisk', 'MirrorFailed');
    assert.deepEqual((await migrated()).evidence, proven);
    const once = [...compared, ...turned];
    assert.deepEqual(steps(), [...made, ...once, 'mirrorDisk', ...once, ...settled]);
  });

  test('is cancelled in the middle of the comparison: nothing is left', async () => {
    const comparing = untilCancelled();
    nodes.next('compareVolume', comparing.turn);
    const handle = await nodes.migrate(id);
    await comparing.begun;
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal((await ended(handle)).outcome, 'cancelled');
    assert.deepEqual(nodes.steps, [...made, ...compared, ...undone]);
  });

  test('is paused in the middle of it: the reading rests, and goes on', async () => {
    const comparing = untilCancelled();
    nodes.next('compareVolume', comparing.turn);
    const handle = await nodes.migrate(id);
    await comparing.begun;
    await handle.executeUpdate(messages.pauseMigration);
    await handle.executeUpdate(messages.resumeMigration);
    assert.deepEqual((await ended(handle)).proof, 'compared');
  });

  test("and the source's export is lost: it is brought back", async () => {
    nodes.next('compareVolume', 'SourceUnreachable');
    assert.deepEqual((await migrated()).evidence, proven);
    assert.deepEqual(steps(), [...made, ...compared, ...compared, ...turned, ...settled]);
  });
});

describe('the source that a guest has left', () => {
  test('is written to by nobody before it goes: somebody who uses it is told, and waited for', async () => {
    nodes.next('fenceSource', ...Array.from({ length: 3 }, () => 'VolumeInUse' as const));
    const handle = await nodes.migrate(id);
    assert.equal((await ended(handle)).outcome, 'success');
    const { events } = await handle.fetchHistory();
    const steps = (events ?? []).map((e) => e.activityTaskScheduledEventAttributes?.activityType?.name);
    const order = steps.filter((step) => step && ['fenceSource', 'settleDestination', 'retireSource'].includes(step));
    assert.deepEqual([...new Set(order)], ['fenceSource', 'settleDestination', 'retireSource']);
    assert.ok(order.lastIndexOf('fenceSource') < order.indexOf('retireSource'));
    assert.ok(order.lastIndexOf('fenceSource') > order.indexOf('settleDestination'));
  });

  test('is not waited for where its node is away: that is for the clean-up', async () => {
    nodes.next('fenceSource', 'NotOwned');
    assert.equal((await migrated()).outcome, 'success');
    assert.deepEqual(steps(), [...made, ...compared, ...turned, ...settled]);
  });
});
