import { ActivityFailure, ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';
import { checkpoint as checkpointSchema, copyStart, type Checkpoint } from '../model/migration.ts';
import type { MigrationRun } from './migration-run.ts';

/** Before the first new try after the source was lost; doubles up to the second figure. Seconds. */
const firstPause = 1;
const longestPause = 15;

/**
 * Carries a transfer to its end in as many stretches as it takes: a pause or a new cap ends a stretch, and so does a source that
 * cannot be reached. `recover` brings the source back; it is given up when no byte moved for `patienceSeconds`.
 * Not `shown`: it runs beside one that is, and tells nothing of where it is.
 */
export async function runTransfer(
  run: MigrationRun,
  stretch: (from: Checkpoint) => Promise<{ checkpoint: Checkpoint; finished: boolean }>,
  recover: ((patienceSeconds: number) => Promise<void>) | null,
  { shown = true } = {},
): Promise<Checkpoint> {
  let at = copyStart;
  let lostSince: number | null = null;
  let pause = firstPause;
  for (;;) {
    run.throwIfCancelled();
    try {
      const reached = await run.stretch(() => stretch(at));
      at = reached.checkpoint;
      lostSince = null;
      if (shown) run.report({ bytesDone: at.offset, bytesPerSecond: 0, zeroedBytes: at.zeroedBytes });
      if (reached.finished) return at;
    } catch (error) {
      if (isCancellation(error)) continue; // a stretch that was ended before it began
      const lost = recover && sourceLost(error);
      if (!lost) throw error;
      if (lost.at && isFurther(lost.at, at)) {
        at = lost.at;
        lostSince = null;
        pause = firstPause;
      }
      lostSince ??= Date.now();
      const left = run.request.nodeTimeoutSeconds - (Date.now() - lostSince) / 1000;
      if (left <= 0) throw error;
      run.waitFor(`the source's export on ${run.state.source}: ${lost.message}`);
      await sleep(`${Math.min(pause, left)}s`, { summary: "before the source's export is tried again" });
      pause = Math.min(pause * 2, longestPause);
      await recover(Math.max(1, left));
      run.waitFor(null);
    }
  }
}

function isFurther(a: Checkpoint, b: Checkpoint): boolean {
  return a.offset > b.offset || (a.copied ?? a.offset) > (b.copied ?? b.offset);
}

/** Whether the transfer failed because its source cannot be reached, and how far it was then. */
export function sourceLost(error: unknown): { message: string; at: Checkpoint | null } | null {
  const cause = error instanceof ActivityFailure ? error.cause : null;
  if (!(cause instanceof ApplicationFailure) || cause.type !== 'SourceUnreachable') return null;
  const details = cause.details?.[0] as { checkpoint?: unknown } | undefined;
  const parsed = checkpointSchema.safeParse(details?.checkpoint);
  return { message: cause.message, at: parsed.success ? parsed.data : null };
}
