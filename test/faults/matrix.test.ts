import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createComputeActivities } from '../../activities/compute/create-compute-activities.ts';
import { createMoveActivities } from '../../activities/moves/create-move-activities.ts';
import { createNotificationActivities } from '../../activities/notifications/create-notification-activities.ts';
import { createRegistryActivities } from '../../activities/registry/create-registry-activities.ts';
import { createRepairActivities } from '../../activities/repair/create-repair-activities.ts';
import { createStorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { type Case, casesOf, lasting, nameOf, type Path, sampleOf } from './cases.ts';
import { activitiesElsewhere, attachedSteps } from './elsewhere.ts';
import { type Fault, faults, type Order } from './orders.ts';
import { FaultStage, type Faulted, type Route } from './stage.ts';

/** Migrations at once: most of a case is a wait for a time limit. */
const atOnce = 12;
/** Of those in which a worker is killed: each kill takes the steps of all others with it. */
const killsAtOnce = 5;

/** How Temporal says that a workflow was cancelled. */
const cancelledType = 'CancelledFailure';

/** How long a lost node is waited for, in the cases that lose one. Above what a step waits for its turn on a busy machine. Seconds. */
const lostAfterSeconds = 30;

const near: Route = { source: 'server1@one', destination: 'server1@near' };
const far: Route = { source: 'server1@one', destination: 'server1@far', keeps: true };
const remote: Route = { source: 'server1@one', destination: 'server2@two' };
const undo: Route = { source: 'server2@two', destination: 'server1@one', undoes: true };
const routes: Record<string, Route> = {
  'generic-detached': remote,
  'assisted, with a copy, its source is kept': far,
  'assisted, shared': near,
  undo,
};

/**
 * Everything takes half an hour. Else every second step and every fault has its turn, few workers are killed, and none for good: that is
 * done to whole nodes in end-to-end/source-faults and destination-faults.
 */
const isWhole = process.env['FERRY_MATRIX'] === 'whole';

const stage = await FaultStage.set({ withLostNodes: isWhole });
after(() => stage.strike());
const { control, storage } = stage.stage;
void stage.keepAlive([control, storage['server1']!, storage['server2']!]);

/**
 * What takes a flow's migration back, so that its way back can be faulted. A step after which that way is one and the same, whether it ends
 * before it hears of the cancel or not: a copy that has ended has its source asked before it goes.
 */
function cancelsAt(flow: string): Order {
  // There is an export then.
  if (flow === 'generic-detached') return { step: 'exportSource', what: 'cancel after its effect' };
  return {
    step: flow === 'assisted, shared' ? 'enterPhase:copying' : 'digestVolume',
    what: 'cancel before its effect',
  };
}

/** The steps of a flow, as two migrations without a fault go through them. */
async function explore(flow: string): Promise<Path> {
  const moved = await stage.begin(routes[flow]!, []);
  assert.equal(await stage.ended(moved), 'success');
  const cancelled = await stage.begin(routes[flow]!, [cancelsAt(flow)]);
  await stage.askHeld(cancelled, 'cancelMigration');
  assert.equal(await stage.ended(cancelled), cancelledType);
  const forward = stage.stepsOf(moved);
  return { flow, forward, back: stage.stepsOf(cancelled).filter((step) => !forward.includes(step)), paused: [] };
}

const paths = await Promise.all(Object.keys(routes).map(explore));

type Filled = Faulted & { contents: string };

/** Which back ends keep a source of it in the end. */
function keptAt({ keeps, undoes, source, destination }: Route, side: Case['end']['side']): string[] {
  if (keeps && side === 'destination') return [source];
  return undoes && side === 'source' ? [destination] : [];
}

async function begin(c: Case, at = routes[c.flow]!, request = {}): Promise<{ migration: Filled; index: number }> {
  const order: Order = { step: c.step, what: c.fault };
  const orders = c.way === 'back' ? [cancelsAt(c.flow), order] : [order];
  const migration = await stage.begin(at, orders, request);
  if (c.way === 'back') await stage.askHeld(migration, 'cancelMigration');
  return { migration, index: orders.length - 1 };
}

async function assertEnd(c: Case, migration: Filled, meanwhile?: () => Promise<void>): Promise<void> {
  const host = migration[c.end.side];
  const { contents } = migration;
  const route = routes[c.flow]!;
  const kept = keptAt({ ...route, source: migration.source, destination: migration.destination }, c.end.side);
  // Before an undo there was the migration that it takes back.
  const outcome = [c.end.outcome].flat().map((each) => each ?? (route.undoes ? 'success' : null));
  await stage.stage.checker.assertAt(
    migration.id,
    { host, contents, outcome, kept },
    { ...(meanwhile ? { meanwhile } : {}) },
  );
}

async function play(c: Case): Promise<void> {
  const { migration, index } = await begin(c);
  await stage.befall(c.fault, migration, index);
  await stage.ended(migration);
  stage.assertStruck(migration, index);
  await assertEnd(c, migration, stage.repairOf(c.fault, migration));
}

const kills = faults.filter((fault) => fault.startsWith('killed'));
const others = faults.filter((fault) => fault !== lasting && !kills.includes(fault));

const rows = (which: readonly Fault[], everyNthStep: number): Case[] =>
  paths.flatMap((path) => (isWhole ? casesOf(path, which) : sampleOf(path, which, everyNthStep)));

test('every activity has its row, or is said to be tested elsewhere', () => {
  const none = {} as never;
  const all = Object.keys({
    ...createRegistryActivities(none),
    ...createMoveActivities(none),
    ...createRepairActivities(none),
    ...createNotificationActivities({ registry: none, webhooks: [] }),
    ...createStorageActivities(none),
    ...createComputeActivities(none),
  });
  const seen = [...paths.flatMap(({ forward, back }) => [...forward, ...back]), ...attachedSteps].map(
    (step) => step.split(':')[0]!,
  );
  const elsewhere = Object.keys(activitiesElsewhere);
  const rowless = all.filter((name) => !seen.includes(name) && !elsewhere.includes(name));
  assert.deepEqual(rowless, [], 'give them a row: bring them into a flow here, or say where their faults are tested');
  assert.deepEqual(
    elsewhere.filter((name) => seen.includes(name) || !all.includes(name)),
    [],
  );
});

describe('a step fails, hangs, runs twice, is cancelled or loses its workflow', { concurrency: atOnce }, () => {
  for (const c of rows(others, 2)) test(nameOf(c), () => play(c));
});

describe('the worker of a step is killed', { concurrency: killsAtOnce }, () => {
  for (const c of rows(kills, 5)) test(nameOf(c), () => play(c));
});

function loseNodes(): void {
  /** All steps on one node are held, then it is lost under all of them. */
  async function lose(node: string, path: Path, at: Route): Promise<void> {
    const queue = `storage:${node}`;
    const cases = casesOf(path, [lasting]);
    const begun = await Promise.all(
      cases.map(async (c) => ({ c, ...(await begin(c, at, { nodeTimeoutSeconds: lostAfterSeconds })) })),
    );
    const isThere = ({ c, migration }: (typeof begun)[number]) => stage.ranOn(migration, c.step, queue);
    await Promise.all(
      begun.map(async (each) => {
        await stage.untilHeld(each.migration, each.index);
        if (!isThere(each)) await stage.release(each.migration, each.index);
      }),
    );
    const lost = begun.filter(isThere);
    assert.ok(lost.length > 0);
    await stage.stage.storage[node]!.signal('SIGKILL');
    const { client } = stage.stage;
    await Promise.all(
      lost.map(async ({ c, migration }) => {
        if (waitsForDestination(c)) return assertRuns(migration);
        await stage.ended(migration);
        // Free at once, and wholly on the one or the other side; what the lost node holds is waited for by others.
        const { status } = await client.workflow.getHandle(migration.handle.workflowId).describe();
        assert.notEqual(status.name, 'RUNNING');
      }),
    );
    await stage.stage.storage[node]!.start();
    await Promise.all(lost.map(({ c, migration }) => assertEnd(c, migration)));
  }
  const [generic, copied, shared] = paths as [Path, Path, Path];
  const on = (node: string, group: string) => `${node}@${group}`;
  test('the source node', () =>
    lose('lost-source', generic, { source: on('lost-source', 'one'), destination: remote.destination }));
  test('the destination node', () =>
    lose('lost-destination', generic, { source: remote.source, destination: on('lost-destination', 'two') }));
  test('the node of an assisted migration', async () => {
    const source = on('lost-both', 'one');
    await lose('lost-both', copied, { ...far, source, destination: on('lost-both', 'far') });
    await lose('lost-both', shared, { source, destination: on('lost-both', 'near') });
  });
}

/** The new device must answer before the source goes: until then the migration runs, and says for what it waits. */
function waitsForDestination({ step, way }: Case): boolean {
  return way === 'forward' && step === 'settleDestination';
}

async function assertRuns({ handle }: Filled): Promise<void> {
  const { status } = await stage.stage.client.workflow.getHandle(handle.workflowId).describe();
  assert.equal(status.name, 'RUNNING');
}

if (isWhole) describe('the worker of a step never comes back', { concurrency: true }, loseNodes);

describe('the checker finds a planted defect', { concurrency: true }, () => {
  const finds = async (migration: Filled, host: string, outcome: string, complaint: RegExp) => {
    const { id, contents } = migration;
    await assert.rejects(
      stage.stage.checker.assertAt(id, { host, contents, outcome }, { settleMs: 5_000 }),
      (error: Error) => (assert.match(error.message, complaint), true),
    );
  };
  const nodes = `${stage.stage.directory}/nodes`;
  const deviceFile = (id: string) => `${nodes}/server1/one/volumes/volume-${id}`;

  test('the source is deleted before the switch', async () => {
    const migration = await stage.begin(remote, (id) => [
      { step: 'releaseSource', what: 'device removed', path: deviceFile(id) },
      { step: 'pullVolume', what: 'non-retryable error' },
    ]);
    await stage.ended(migration);
    await finds(migration, remote.source, 'error', /devices: \[\]/);
  });

  test('what was written is not flushed', async () => {
    const migration = await stage.begin(remote, [{ step: 'pullVolume', what: 'writes lost', path: nodes }], {
      verify: 'inline',
    });
    assert.equal(await stage.ended(migration), 'success');
    await finds(migration, remote.destination, 'success', /the bytes are not the same/);
  });

  test('the same is found by Ferry itself where it reads the destination back when all is copied', async () => {
    const migration = await stage.begin(far, [{ step: 'copyVolume', what: 'writes lost', path: nodes }], {
      verify: 'reread',
    });
    assert.equal(await stage.ended(migration), 'ChecksumMismatch');
    const { id, contents } = migration;
    await stage.stage.checker.assertAt(id, { host: far.source, contents, outcome: 'error' });
  });

  test('the switch does not look at the claim', async () => {
    const migration = await stage.begin(remote, [{ step: 'switchVolume', what: 'not fenced' }]);
    await stage.untilHeld(migration, 0);
    await migration.handle.terminate('injected');
    await stage.repair(migration.id);
    await stage.release(migration, 0);
    await finds(migration, remote.source, 'error', /host is server2@two/);
  });

  test('an export is left', async () => {
    const migration = await stage.begin(remote, [
      cancelsAt('generic-detached'),
      { step: 'removeExport', what: 'does not happen' },
    ]);
    await stage.askHeld(migration, 'cancelMigration');
    assert.equal(await stage.ended(migration), cancelledType);
    await finds(migration, remote.source, 'cancelled', /exports left/);
  });
});
