import type { Workflow, WorkflowHandle } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../model/errors.ts';
import type { Temporal } from './temporal.ts';

/** One long poll; the server answers it after 20 s when nothing happened. */
const pollMs = 30_000;

/** A server that is being restarted is back by then. */
const patienceMs = 60_000;

/**
 * Waits for a workflow's end, however long, and over a restart of Temporal. Throws what it ended with; `ServiceUnreachable` when
 * Temporal is away for a minute: the workflow goes on. `signal` ends the wait.
 */
export async function workflowResult<T extends Workflow>(
  temporal: Temporal,
  handle: WorkflowHandle<T>,
  signal?: AbortSignal,
): Promise<Awaited<ReturnType<T>>> {
  let awaySince: number | null = null;
  for (;;) {
    const began = Date.now();
    try {
      return (await temporal.call(() => handle.result(), { deadlineMs: pollMs, signal })) as Awaited<ReturnType<T>>;
    } catch (error) {
      if (signal?.aborted || !(error instanceof FerryError) || error.type !== 'ServiceUnreachable') throw error;
      // The end of a whole poll is the usual answer of a workflow that still runs.
      const wholePoll = Date.now() - began >= pollMs - 1000;
      awaySince = wholePoll ? null : (awaySince ?? began);
      if (awaySince === null) continue;
      if (Date.now() - awaySince > patienceMs) throw error;
      await sleep(1000, undefined, { signal });
    }
  }
}
