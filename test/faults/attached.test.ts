import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput, MigrationState } from '../../model/migration.ts';
import type { ManagedWorker } from '../../testbed/process-worker.ts';
import { type AttachedDisk, AttachedDisks } from './attached-disks.ts';
import { type Case, casesOf, lasting, nameOf, type Path, sampleOf, type Way } from './cases.ts';
import { attachedSteps } from './elsewhere.ts';
import { type Fault, faults, type Order } from './orders.ts';
import { FaultStage, type Faulted } from './stage.ts';

/** As in matrix.test.ts: everything, or a sample. */
const isWhole = process.env['FERRY_MATRIX'] === 'whole';

const guests = isWhole ? 2 : 1;
/** A guest has room for six; one is left for a disk that takes the place of another. */
const disksEach = 5;
const atOnce = guests * disksEach;
const killsAtOnce = 5;

/** How long a lost worker is waited for. Above what the steps before it take on a busy machine. Seconds. */
const lostAfterSeconds = 40;

const mib = 1024 ** 2;

const [one, two] = ['server1@one', 'server2@two'];
const otherSide = (host: string) => (host === one ? two : one);

const stage = await FaultStage.set({ withLostNodes: isWhole });
after(() => stage.strike());
const disks = await AttachedDisks.start(stage);
const hv1 = await disks.worker('hv1');
const { control, storage } = stage.stage;
void stage.keepAlive([control, storage['server1']!, storage['server2']!, hv1]);
for (let n = 0; n < guests; n += 1) await disks.add(await disks.guest(`vm-${n}`), one, 'hv1', disksEach);

/** What brings a migration to the steps of a way: its mirror is complete, and then this is asked. */
const turnedBy: Readonly<Record<Way, 'cancelMigration' | 'pauseMigration' | null>> = {
  forward: null,
  back: 'cancelMigration',
  paused: 'pauseMigration',
};
const held: Order = { step: 'mirrorDisk', what: 'cancel after its effect' };

interface Begun {
  migration: Faulted;
  index: number;
  /** The volume's last migration before. */
  before: string | null;
}

async function begin(
  disk: AttachedDisk,
  way: Way,
  order: Order | null,
  { destination = otherSide(disk.host), ...request }: Partial<MigrationRequestInput> = {},
  others: readonly Order[] = [],
): Promise<Begun> {
  const turn = turnedBy[way];
  const orders = [...others, ...(turn ? [held] : []), ...(order ? [order] : [])];
  const before = await disks.checker.lastMigration(disk.id);
  const migration = await stage.beginMove(disk.id, { source: disk.host, destination }, orders, request);
  if (turn) await stage.askHeld(migration, turn);
  return { migration, index: orders.length - 1, before };
}

/** The steps of the flow, as three migrations without a fault go through them, and on whose queue each is. */
async function explore(): Promise<{ path: Path; queueOf: (step: string) => string }> {
  const begun: Faulted[] = [];
  const go = async (way: Way) => {
    await disks.lend(async (disk) => {
      const { migration } = await begin(disk, way, null);
      begun.push(migration);
      if (way === 'paused') {
        while (!stage.stepsOf(migration).includes('pauseMirror')) await sleep(50);
        await stage.ask(migration, 'resumeMigration');
      }
      assert.equal(await stage.ended(migration), way === 'back' ? 'CancelledFailure' : 'success');
      if (way !== 'back') disk.host = migration.destination;
    });
    return stage.stepsOf(begun.at(-1)!);
  };
  const forward = await go('forward');
  const only = (steps: string[]) => steps.filter((step) => !forward.includes(step));
  const path = { flow: 'generic-attached', forward, back: only(await go('back')), paused: only(await go('paused')) };
  const queueOf = (step: string) =>
    begun.flatMap(({ key }) => stage.book.notes(key)).find((noted) => noted.step === step)!.worker;
  return { path, queueOf };
}

const { path, queueOf } = await explore();

async function assertEnd(c: Case, disk: AttachedDisk, { migration, before }: Begun): Promise<void> {
  const host = migration[c.end.side];
  const meanwhile = stage.repairOf(c.fault, migration);
  const expected = { host, outcome: c.end.outcome, after: before };
  await disks.checker.assertAt(disk, expected, meanwhile ? { meanwhile } : {});
  disk.host = host;
}

/** Waits for a migration that asks an operator, looks at the guest as one would, and says what is found. */
async function answer({ handle }: Faulted, disk: AttachedDisk, placeBefore: string): Promise<void> {
  for (;;) {
    const { waitingFor } = await handle.query<MigrationState>(messages.migrationState);
    if (waitingFor?.startsWith('an operator')) break;
    assert.equal((await handle.describe()).status.name, 'RUNNING', 'it asked no operator');
    await sleep(200);
  }
  const side = (await disks.placeOf(disk)) === placeBefore ? 'source' : 'destination';
  await handle.executeUpdate(messages.resolveParked, { args: [side] });
}

async function play(c: Case, disk: AttachedDisk): Promise<void> {
  const placeBefore = await disks.placeOf(disk);
  const begun = await begin(disk, c.way, { step: c.step, what: c.fault });
  const { migration, index } = begun;
  await stage.befall(c.fault, migration, index);
  if (c.way === 'paused') {
    await stage.untilStruck(migration, index);
    await stage.ask(migration, 'resumeMigration');
  }
  if (c.end.isAsked) await answer(migration, disk, placeBefore);
  await stage.ended(migration);
  stage.assertStruck(migration, index);
  await assertEnd(c, disk, begun);
}

const kills = faults.filter((fault) => fault.startsWith('killed'));
const others = faults.filter((fault) => fault !== lasting && !kills.includes(fault));

const rows = (which: readonly Fault[], everyNthStep: number): Case[] =>
  isWhole ? casesOf(path, which) : sampleOf(path, which, everyNthStep);

test('the activities that are said to have their rows here have them', () => {
  const seen = [...path.forward, ...path.back, ...path.paused];
  assert.deepEqual(
    attachedSteps.filter((step) => !seen.includes(step)),
    [],
  );
});

describe(
  'a step of an attached volume fails, hangs, runs twice, is cancelled or loses its workflow',
  {
    concurrency: atOnce,
  },
  () => {
    for (const c of rows(others, 2)) test(nameOf(c), () => disks.lend((disk) => play(c, disk)));
  },
);

describe('the worker of a step of an attached volume is killed', { concurrency: killsAtOnce }, () => {
  for (const c of rows(kills, 5)) test(nameOf(c), () => disks.lend((disk) => play(c, disk)));
});

function loseWorkers(): void {
  /** All steps on one queue are held, then its worker is lost under all of them; some wait for it to come back, and nothing else. */
  async function lose(
    worker: ManagedWorker,
    at: { queue: RegExp; source: string; destination: string; computeHost: string },
  ): Promise<void> {
    const cases = casesOf(path, [lasting]).filter(({ step }) => at.queue.test(queueOf(step)));
    const guest = await disks.guest(`vm-${at.computeHost}-${at.source}-${at.destination}`.replaceAll('@', '-'));
    const lost = [];
    for (const c of cases) lost.push({ c, disk: await disks.attach(guest, at.source, at.computeHost) });
    const request = { destination: at.destination, nodeTimeoutSeconds: lostAfterSeconds };
    const begun = await Promise.all(
      lost.map(async ({ c, disk }) => {
        const its = await begin(disk, c.way, { step: c.step, what: c.fault }, request);
        await stage.untilHeld(its.migration, its.index);
        return { c, disk, its };
      }),
    );
    await worker.signal('SIGKILL');
    const waits = ({ step }: Case) => step === 'pivotDisk';
    await Promise.all(begun.filter(({ c }) => !waits(c)).map(({ its }) => stage.ended(its.migration)));
    for (const { its } of begun.filter(({ c }) => waits(c)))
      assert.equal((await its.migration.handle.describe()).status.name, 'RUNNING');
    await worker.start();
    await Promise.all(
      begun.map(async ({ c, disk, its }) => {
        await stage.ended(its.migration);
        await assertEnd(c, disk, its);
      }),
    );
  }
  test('the hypervisor', async () => {
    await lose(await disks.worker('hv2'), { queue: /^compute:/, source: one, destination: two, computeHost: 'hv2' });
  });
  test('the destination node', async () => {
    const at = { queue: /^storage:server2$/, source: one, destination: 'lost-destination@two', computeHost: 'hv1' };
    await lose(storage['lost-destination']!, at);
  });
  test('the source node', async () => {
    const at = { queue: /^storage:server1$/, source: 'lost-source@one', destination: two, computeHost: 'hv1' };
    await lose(storage['lost-source']!, at);
  });
}

if (isWhole) describe('the worker of a step of an attached volume never comes back', loseWorkers);

test('a worker that was suspended while another one did its work harms nothing when it wakes up', async () => {
  const zombie = await disks.worker('hv3');
  const guest = await disks.guest('vm-suspended');
  const suspendedAt = async (way: Way, step: string | null, ends: string) => {
    const filled = step === null ? { bytes: 64 * mib, bandwidth: 4 * mib } : { bytes: 16 * mib, bandwidth: null };
    const disk = await disks.attach(guest, one, 'hv3', filled.bytes);
    const order: Order | null = step === null ? null : { step, what: 'cancel before its effect' };
    const begun = await begin(disk, way, order, { bandwidth: filled.bandwidth });
    if (order) await stage.untilHeld(begun.migration, begun.index);
    return { disk, begun, isHeld: order !== null, ends };
  };
  const all = [
    await suspendedAt('forward', 'mirrorDisk', 'success'),
    await suspendedAt('forward', 'pivotDisk', 'success'),
    await suspendedAt('back', 'abortMirror', 'CancelledFailure'),
    await suspendedAt('forward', null, 'success'),
  ];
  await disks.untilMirroring(all.at(-1)!.disk);
  await zombie.signal('SIGSTOP');
  await disks.worker('hv3', 'twin');
  for (const { disk, begun, ends } of all) {
    assert.equal(await stage.ended(begun.migration), ends);
    const isMoved = ends === 'success';
    disk.host = begun.migration[isMoved ? 'destination' : 'source'];
    await disks.checker.assertAt(disk, { host: disk.host, outcome: isMoved ? 'success' : 'cancelled' });
  }
  // They move once more: complete mirrors that wait for their pivot are what it could harm.
  const again = await Promise.all(
    all.map(async ({ disk }) => {
      const { migration, index } = await begin(disk, 'forward', held);
      await stage.untilHeld(migration, index);
      return { disk, migration, index };
    }),
  );
  const asleep = all.filter(({ isHeld }) => isHeld);
  for (const { begun } of asleep) stage.book.mark(begun.migration.key, begun.index, 'released');
  await zombie.signal('SIGCONT');
  for (const { begun } of asleep) await stage.untilOver(begun.migration, begun.index);
  for (const { migration, index, disk } of again) {
    await stage.release(migration, index);
    assert.equal(await stage.ended(migration), 'success');
    await disks.checker.assertAt(disk, { host: migration.destination, outcome: 'success' });
  }
});

describe('the checker finds a planted defect of an attached volume', { concurrency: true }, () => {
  /** In a guest of its own: it does not survive some of them. */
  const finds = async (name: string, [order, ...others]: readonly [Order, ...Order[]], complaint: RegExp) => {
    const disk = await disks.attach(await disks.guest(name), one, 'hv1');
    const { migration } = await begin(disk, 'forward', order, {}, others);
    assert.equal(await stage.ended(migration), 'success');
    await assert.rejects(
      disks.checker.assertAt(disk, { host: two, outcome: 'success' }, { settleMs: 5_000 }),
      (error: Error) => (assert.match(error.message, complaint), true),
    );
  };
  const nodes = `${stage.stage.directory}/nodes`;

  const notTurned: Order = { step: 'pivotDisk', what: 'does not happen' };

  test('the registry says that the guest was turned, and it was not', () =>
    finds('vm-not-turned', [notTurned, { step: 'fenceSource', what: 'does not happen' }], /definition does not name/));

  test('Ferry finds that itself: the guest is on the source, which is not taken from it', async () => {
    const disk = await disks.attach(await disks.guest('vm-found'), one, 'hv1');
    const { handle } = (await begin(disk, 'forward', notTurned)).migration;
    for (let said: string | null = null; !said?.includes('which the volume has left'); await sleep(200)) {
      assert.equal((await handle.describe()).status.name, 'RUNNING');
      said = (await handle.query<MigrationState>(messages.migrationState)).waitingFor;
    }
    await handle.terminate('found');
  });

  test('of what the guest wrote some is not there', () =>
    finds(
      'vm-lost',
      [{ step: 'settleDestination', what: 'writes lost', path: nodes }],
      /blocks of the content are lost|missing/,
    ));
});
