import type { NativeConnection } from '@temporalio/worker';
import type { Worker } from '@temporalio/worker';
import { everyFewSeconds } from './every-few-seconds.ts';

/** Longer than a healthy server takes, shorter than a heartbeat's patience. Milliseconds. */
const answerMs = 5_000;
const lookEveryMs = 10_000;
/** A restart of Temporal takes no back end down. */
const patienceMs = 60_000;
/** A poll that nothing is found by ends after one minute, and the next begins. Milliseconds. */
const pollsAtLeastEveryMs = 180_000;

/** TASK_QUEUE_TYPE_ACTIVITY in Temporal's API. */
const activityQueue = 2;
/** gRPC's codes. */
const refusals: ReadonlySet<number | undefined> = new Set([7, 16]);

/** Whether a worker's work can reach it. */
export interface TemporalReach {
  /** Why no work comes to this worker any more; null as long as it does. */
  why(): string | null;
  /** For how long Temporal has refused this worker's credentials, and nothing else; 0 if it does not. Milliseconds. */
  refusedForMs: () => number;
  stop(): void;
}

/**
 * Watches whether Temporal answers this worker, and knows that it polls its queue: a worker that Temporal does not let in any more can
 * still write to Postgres, and would be taken for one that works. Each worker asks about itself, by its own connection. Whether it
 * was there lately is told by a change of what Temporal says, never by comparing clocks. `onChange` hears when `why` begins or ceases.
 */
export async function watchReach(of: {
  connection: NativeConnection;
  namespace: string;
  taskQueue: string;
  worker: Pick<Worker, 'getStatus' | 'options'>;
  /** With so many steps under way it asks for no more, and is none the worse for it. */
  slots: number;
  onChange?: (why: string | null) => void;
  times?: { lookEveryMs?: number; patienceMs?: number; pollsAtLeastEveryMs?: number };
}): Promise<TemporalReach> {
  const { connection, namespace, taskQueue, worker, slots, onChange } = of;
  const times = { lookEveryMs, patienceMs, pollsAtLeastEveryMs, ...of.times };
  const { identity } = worker.options;
  // It has just connected.
  let provenAt = performance.now();
  let refusedSince: number | null = null;
  let polled = { at: performance.now(), seen: '' };
  let trouble: string | null = null;
  let told: string | null = null;

  const why = () => (performance.now() - provenAt > times.patienceMs ? trouble : null);
  const look = async () => {
    const { pollers } = await connection.withDeadline(Date.now() + answerMs, () =>
      connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: taskQueue },
        taskQueueType: activityQueue,
      }),
    );
    refusedSince = null;
    const own = pollers?.find((each) => each.identity === identity)?.lastAccessTime;
    const seen = own ? `${String(own.seconds)}.${own.nanos}` : '';
    const isFull = worker.getStatus().numInFlightActivities >= slots;
    if (isFull || (seen !== '' && seen !== polled.seen)) polled = { at: performance.now(), seen };
    if (performance.now() - polled.at <= times.pollsAtLeastEveryMs) provenAt = performance.now();
    else trouble = `Temporal has not seen it ask for work on ${taskQueue} lately`;
  };
  const rounds = await everyFewSeconds(
    async () => {
      await look().catch((error: unknown) => {
        const { code, details, message } = error as { code?: number; details?: string; message: string };
        trouble = `Temporal does not answer it: ${(details || message).replace(/\s+/g, ' ')}`;
        refusedSince =
          refusals.has(code) || /certificate|handshake/i.test(trouble) ? (refusedSince ?? performance.now()) : null;
      });
      const now = why();
      if ((now === null) !== (told === null)) onChange?.(now);
      told = now;
    },
    () => {},
    times.lookEveryMs,
  );
  return {
    why,
    refusedForMs: () => (refusedSince === null ? 0 : performance.now() - refusedSince),
    stop: () => rounds.stop(),
  };
}
