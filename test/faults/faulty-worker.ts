// Loaded into a worker before its own code (node --import): what befalls its steps is in the order book. Production has none of it.
import { AsyncLocalStorage } from 'node:async_hooks';
import childProcess from 'node:child_process';
import { unlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lasting } from './cases.ts';
import { type Order, OrderBook, isHeld, stepOf } from './orders.ts';

/** Above every time limit of a step. Milliseconds. */
const tooLongMs = 30_000;

/** What a step tells a guest's QEMU, and where it dies in the middle of its effect: what it asks before changes nothing. */
const inQemu: Readonly<Record<string, RegExp>> = {
  mirrorDisk: /"blockcopy"/,
  pivotDisk: /"--pivot"/,
  abortMirror: /"--abort"/,
  pauseMirror: /block-job-pause/,
};

/** A step that its order befalls. */
interface Struck {
  volumeId: string;
  key: string;
  index: number;
  order: Order;
  input: unknown;
  activity: string;
}

const folder = process.env['FERRY_FAULTS'];
if (folder && process.argv.includes('worker')) await arm(folder);

async function arm(ordersFolder: string): Promise<void> {
  const { activityInfo, cancellationSignal, heartbeat } = await import('@temporalio/activity');
  const { Worker } = await import('@temporalio/worker');
  const { default: pg } = await import('pg');
  const { FerryError } = await import('../../model/errors.ts');
  const book = new OrderBook(ordersFolder);
  /** Null: what the step changes first. */
  const midway = new AsyncLocalStorage<{ at: RegExp | null }>();

  const die = (): Promise<never> => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  };
  const dieIfMidway = (afterMs: number) => {
    if (midway.getStore()) setTimeout(die, afterMs);
  };

  // The first thing that a step changes is done or under way: there it dies.
  const changing = ['link', 'mkdir', 'rename', 'rm', 'truncate', 'unlink', 'writeFile'] as const;
  for (const name of changing) {
    const real = fs[name] as (...args: unknown[]) => Promise<unknown>;
    const wrapped = async (...args: unknown[]) => {
      if (name === 'link' && isFar(args)) throw Object.assign(new Error('another file system'), { code: 'EXDEV' });
      const done = await real(...args);
      if (midway.getStore()?.at === null) await die();
      return done;
    };
    Object.assign(fs, { [name]: wrapped });
  }
  const { spawn } = childProcess;
  Object.assign(childProcess, {
    spawn: (...args: Parameters<typeof spawn>) => {
      const child = spawn(...args);
      const { at = null } = midway.getStore() ?? {};
      if (at === null) dieIfMidway(2);
      else if (at.test(JSON.stringify(args[1]))) dieIfMidway(25);
      return child;
    },
  });
  syncBuiltinESMExports();
  const send = inherited(childProcess.ChildProcess.prototype, 'send');
  Object.assign(childProcess.ChildProcess.prototype, {
    send(...args: unknown[]) {
      const sent = send.apply(this, args);
      dieIfMidway(40);
      return sent;
    },
  });
  const query = inherited(pg.Client.prototype, 'query');
  Object.assign(pg.Client.prototype, {
    query(...args: unknown[]) {
      const sent = query.apply(this, args);
      const text = typeof args[0] === 'string' ? args[0] : (args[0] as { text?: string }).text;
      if (!/^\s*(BEGIN|SET)/i.test(text ?? '')) dieIfMidway(0);
      return sent;
    },
  });

  const heldUntilReleased = async (key: string, index: number) => {
    book.hold(key, index);
    while (!book.marked(key, index, 'released')) {
      heartbeat();
      await sleep(50);
    }
  };

  const writeUnfenced = async (volumeId: string) => {
    const client = new pg.Client({ connectionString: process.env['FERRY_DATABASE_URL'] });
    await client.connect();
    await client.query(
      `UPDATE volumes SET host = m.destination, name_id = m.destination_name_id
       FROM migrations m WHERE m.volume_id = volumes.id AND volumes.id = $1`,
      [volumeId],
    );
    await client.end();
  };

  const strike = async <T>({ volumeId, key, index, order, input, activity }: Struck, run: () => Promise<T>) => {
    const { what } = order;
    if (isHeld(what)) {
      const isAfter = what.includes('after its effect');
      if (!isAfter) await heldUntilReleased(key, index);
      const done = what === 'not fenced' ? await writeUnfenced(volumeId) : await run();
      if (isAfter) await heldUntilReleased(key, index);
      return done as T;
    }
    switch (what) {
      case 'killed before its effect':
        return die();
      case 'killed in the middle of its effect':
        return midway.run({ at: inQemu[activity] ?? null }, run);
      case 'killed after its effect':
        await run();
        return die();
      case 'retryable error':
        throw new FerryError('ToolFailed', 'injected: a tool failed');
      case 'non-retryable error':
        throw new FerryError('NotOwned', 'injected: not ours');
      case 'times out': {
        const end = AbortSignal.any([cancellationSignal(), AbortSignal.timeout(tooLongMs)]);
        await new Promise((resolve) => end.addEventListener('abort', resolve, { once: true }));
        throw new Error('injected: it took too long');
      }
      case 'runs twice at once':
        while (!book.marked(key, index, 'second')) await sleep(10);
        return run();
      case 'does not happen':
        return undefined as T;
      case 'device removed': {
        const done = await run();
        unlinkSync(order.path!);
        return done;
      }
      case 'writes lost': {
        const done = await run();
        const { backEnd, deviceName } = input as { backEnd: string; deviceName: string };
        const device = join(order.path!, ...backEnd.split('@'), 'volumes', deviceName);
        await using file = await fs.open(device, 'r+');
        await file.write(Buffer.alloc(4096), 0, 4096, 0);
        return done;
      }
    }
  };

  const create = Worker.create.bind(Worker);
  Worker.create = (options) =>
    create({
      ...options,
      interceptors: {
        ...options.interceptors,
        activity: [
          ...(options.interceptors?.activity ?? []),
          () => ({
            inbound: {
              async execute(input, next) {
                const { activityType, workflowExecution } = activityInfo();
                const volumeId = /^migrate-(.*)$/.exec(workflowExecution?.workflowId ?? '')?.[1];
                if (!volumeId) return next(input);
                const step = stepOf(activityType, input.args[0]);
                const key = book.keyOf(volumeId, workflowExecution!.runId);
                if (key === null) return next(input);
                book.note(key, { activity: activityType, step, worker: options.taskQueue });
                const orders = book.read(key);
                const index = orders.findIndex((order) => order.step === step);
                if (index === -1) return next(input);
                const order = orders[index]!;
                // The worker of a try that is to be held may die by another's order before the test has done its part.
                const isLost = () =>
                  isHeld(order.what) &&
                  order.what !== lasting &&
                  !book.marked(key, index, 'released') &&
                  (!book.marked(key, index, 'held') || book.isHolderDead(key, index));
                if (book.mark(key, index, 'struck') || isLost()) {
                  const struck = {
                    volumeId,
                    key,
                    index,
                    order,
                    input: input.args[0],
                    activity: activityType,
                  };
                  return strike(struck, () => next(input)).finally(() => book.mark(key, index, 'over'));
                }
                if (book.mark(key, index, 'second')) await sleep(30);
                return next(input);
              },
            },
          }),
        ],
      },
    });
}

/** The back end `far` plays another file system: what is elsewhere cannot be linked into it. */
function isFar([from, to]: unknown[]): boolean {
  return /\/far\//.test(String(to)) && !/\/far\//.test(String(from));
}

function inherited(prototype: object, name: string): (...args: unknown[]) => unknown {
  return (prototype as Record<string, (...args: unknown[]) => unknown>)[name]!;
}
