import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput } from '../../model/migration.ts';
import { controlQueue, migrationWorkflowId, reconcileSchedule } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';

import type { ManagedWorker } from '../../testbed/process-worker.ts';
import { keepAlive } from '../end-to-end/keep-alive.ts';
import { setStage, type Stage } from '../end-to-end/stage.ts';
import { type Fault, type Order, OrderBook } from './orders.ts';

/** How often the test looks whether a worker did what it was ordered to. Milliseconds. */
const lookEveryMs = 50;
/** For what is waited for on a busy machine. Milliseconds. */
const patienceMs = 300_000;

/** Recognizable data of a volume: enough to be found missing, little enough to copy hundreds of them. MiB at each place. */
const filledMib = 1;

const mibOfGib = 1024;
const lasting = [
  { name: 'server1', groups: ['one', 'near', 'far'] },
  { name: 'server2', groups: ['two'] },
];
/** Those that are killed for good, each in its part. */
const lost = [
  { name: 'lost-source', groups: ['one'] },
  { name: 'lost-destination', groups: ['two'] },
  { name: 'lost-both', groups: ['one', 'near', 'far'] },
];

/** From where to where. */
export interface Route {
  readonly source: string;
  readonly destination: string;
  /** The source is kept. */
  readonly keeps?: boolean;
  /** The volume came from there before, and goes back to the source that was kept. */
  readonly undoes?: boolean;
}

/** For as long as the tests may take. Seconds. */
const keepSourceSeconds = 86_400;

/** A migration that something befalls. */
export interface Faulted {
  /** Of the volume. */
  readonly id: string;
  /** Of its page in the order book. */
  readonly key: string;
  readonly source: string;
  readonly destination: string;
  readonly handle: WorkflowHandle;
}

/** Ferry on nodes of plain directories, whose workers do what the order book says. */
export class FaultStage {
  readonly stage: Stage;
  readonly book: OrderBook;
  /** What a worker's environment needs, so that what it is ordered befalls it. */
  readonly workerEnv: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #struck = new AbortController();
  readonly #ends: (() => Promise<unknown>)[] = [];

  private constructor(parts: Pick<FaultStage, 'stage' | 'book' | 'workerEnv'>, folder: string) {
    this.stage = parts.stage;
    this.book = parts.book;
    this.workerEnv = parts.workerEnv;
    this.#folder = folder;
  }

  static async set({ withLostNodes }: { withLostNodes: boolean }): Promise<FaultStage> {
    const folder = await mkdtemp(join(tmpdir(), 'ferry-faults-'));
    const orders = join(folder, 'orders');
    mkdirSync(orders);
    const nodes = [...lasting, ...(withLostNodes ? lost : [])].map(({ name, groups }) => ({
      name,
      volumeGroups: groups.map((group) => ({ name: group, sizeMib: 2048 * mibOfGib })),
    }));
    const preload = new URL('faulty-worker.ts', import.meta.url).href;
    const workerEnv = { NODE_OPTIONS: `--import=${preload}`, FERRY_FAULTS: orders };
    const stage = await setStage({
      backing: 'directory',
      nodes,
      workerEnv,
    }).catch(async (error: unknown) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    });
    // What nobody carries on is found by the tests that expect it, and by nobody else.
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
    return new FaultStage({ stage, book: new OrderBook(orders), workerEnv }, folder);
  }

  async strike(): Promise<void> {
    this.#struck.abort();
    for (const end of this.#ends.toReversed()) await end();
    await this.stage.strike();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** What was set up on the stage, and is taken down before it. */
  atStrike(end: () => Promise<unknown>): void {
    this.#ends.push(end);
  }

  /** See keepAlive in end-to-end/keep-alive.ts; until the stage is struck. */
  keepAlive(workers: readonly ManagedWorker[]): Promise<void> {
    return keepAlive(workers, this.#struck.signal);
  }

  async createVolume(backEnd: string): Promise<string> {
    const id = randomUUID();
    await this.stage.client.workflow.execute('createVolume', {
      taskQueue: controlQueue,
      workflowId: `create-${id}`,
      args: [{ volumeId: id, tenantId: 'tenant-1', name: 'test', sizeBytes: gib, backEnd }],
    });
    return id;
  }

  /** A filled volume on `source` that begins to move, with what shall befall it. */
  async begin(
    at: Route,
    orders: readonly Order[] | ((volumeId: string) => readonly Order[]),
    request: Partial<MigrationRequestInput> = {},
  ): Promise<Faulted & { contents: string }> {
    const id = await this.createVolume(at.undoes ? at.destination : at.source);
    const contents = await this.stage.checker.fill(id, filledMib);
    const undoes = at.undoes ? await this.#leave(id, at.source) : null;
    const own = typeof orders === 'function' ? orders(id) : orders;
    const migration = await this.beginMove(id, at, own, { undoes, ...request });
    return { ...migration, contents };
  }

  /** The volume begins to move, with what shall befall it. */
  async beginMove(
    id: string,
    at: Route,
    orders: readonly Order[],
    request: Partial<MigrationRequestInput> = {},
  ): Promise<Faulted> {
    const key = this.book.give(id, orders);
    const handle = await this.stage.client.workflow.start('migrateVolume', {
      taskQueue: controlQueue,
      workflowId: migrationWorkflowId(id),
      args: [
        {
          volumeId: id,
          destination: at.destination,
          nodeTimeoutSeconds: 600,
          keepSourceSeconds: at.keeps ? keepSourceSeconds : null,
          ...request,
        },
      ],
    });
    return { id, key, source: at.source, destination: at.destination, handle };
  }

  /** Does to a migration what its step's fault needs of somebody outside. */
  async befall(fault: Fault, migration: Faulted, index: number): Promise<void> {
    if (fault.startsWith('terminated')) {
      await this.untilHeld(migration, index);
      await migration.handle.terminate('injected');
      await this.repair(migration.id);
      await this.release(migration, index);
    } else if (fault.startsWith('cancel') || fault.startsWith('pause')) {
      await this.untilHeld(migration, index);
      if (fault.startsWith('pause')) await this.ask(migration, 'pauseMigration');
      await this.ask(migration, 'cancelMigration');
      await this.release(migration, index);
    }
  }

  /** A workflow that was ended from outside, or by what no step ever answers, is the repair's. */
  repairOf(fault: Fault, { id }: Faulted): (() => Promise<void>) | undefined {
    const isNeeded = fault.startsWith('terminated') || fault === 'non-retryable error';
    return isNeeded ? () => this.repair(id) : undefined;
  }

  /** What a held step waits for is asked of its migration: a cancel, a pause. */
  async askHeld(migration: Faulted, message: 'cancelMigration' | 'pauseMigration', index = 0): Promise<void> {
    await this.untilHeld(migration, index);
    await this.ask(migration, message);
    await this.release(migration, index);
  }

  /** The steps that a migration went through, each once, in the order in which they began. */
  stepsOf({ key }: Faulted): string[] {
    return [...new Set(this.book.notes(key).map(({ step }) => step))];
  }

  /** Whether a step ran on that queue. */
  ranOn({ key }: Faulted, step: string, queue: string): boolean {
    return this.book.notes(key).some((noted) => noted.step === step && noted.worker === queue);
  }

  assertStruck({ key }: Faulted, index: number): void {
    assert.ok(this.book.marked(key, index, 'struck'), 'the fault did not strike');
  }

  async untilHeld({ key, handle }: Faulted, index: number): Promise<void> {
    await this.#until(
      () => this.book.marked(key, index, 'held'),
      () => `${handle.workflowId} was not held at ${JSON.stringify(this.book.read(key)[index])}`,
    );
  }

  async untilStruck({ key, handle }: Faulted, index: number): Promise<void> {
    await this.#until(
      () => this.book.marked(key, index, 'struck'),
      () => `${handle.workflowId} never came to ${JSON.stringify(this.book.read(key)[index])}`,
    );
  }

  /** Lets a held step go on, and waits for its end: nothing comes of it after that. */
  async release(migration: Faulted, index: number): Promise<void> {
    this.book.mark(migration.key, index, 'released');
    await this.untilOver(migration, index);
  }

  async untilOver({ key, handle }: Faulted, index: number): Promise<void> {
    await this.#until(
      () => this.book.marked(key, index, 'over') || this.book.isHolderDead(key, index),
      () => `${handle.workflowId} was released and came to no end`,
    );
  }

  /**
   * Resolves when the migration has taken it up, or refused it: one that comes too late. The control worker may be dead by another
   * case's order, and Temporal answers nothing for it then: so it is asked again, with the same id, until there is an answer.
   */
  async ask({ handle }: Faulted, message: 'cancelMigration' | 'pauseMigration' | 'resumeMigration'): Promise<void> {
    const updateId = randomUUID();
    for (const deadline = Date.now() + patienceMs; ; await sleep(lookEveryMs)) {
      try {
        await handle.startUpdate(messages[message], { updateId, waitForStage: 'ACCEPTED' });
        return;
      } catch (error) {
        if (error instanceof WorkflowUpdateFailedError || error instanceof WorkflowNotFoundError) return;
        if (Date.now() > deadline) throw error;
      }
    }
  }

  /** How it ended: `success`, or the type of the failure. */
  async ended({ handle }: Faulted): Promise<string> {
    // It must not keep the test's process when all is over.
    const late = sleep(patienceMs, null, { ref: false }).then(() => {
      throw new Error(`${handle.workflowId} did not end in ${patienceMs / 1000} s`);
    });
    return Promise.race([this.stage.outcome(handle), late]);
  }

  /** Looks for what nobody carries on, as the schedule does, but without a grace. */
  async repair(volumeId: string): Promise<void> {
    await this.stage.client.workflow.execute('reconcile', {
      taskQueue: controlQueue,
      workflowId: `reconcile-${randomUUID()}`,
      args: [{ volumeId, orphanGraceSeconds: 0 }],
    });
  }

  /** Moves a volume, and keeps where it was; the migration's id. What its steps were is not remembered. */
  async #leave(volumeId: string, destination: string): Promise<string> {
    const { migrationId } = (await this.stage.client.workflow.execute('migrateVolume', {
      taskQueue: controlQueue,
      workflowId: migrationWorkflowId(volumeId),
      args: [{ volumeId, destination, nodeTimeoutSeconds: 600, keepSourceSeconds, verify: 'none' }],
    })) as { migrationId: string };
    return migrationId;
  }

  async #until(ask: () => boolean, complaint: () => string): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!ask()) {
      if (Date.now() > deadline) throw new Error(complaint());
      await sleep(lookEveryMs);
    }
  }
}
