import { Context } from '@temporalio/activity';
import { FerryError } from '../../model/errors.ts';
import { checkpoint as checkpointSchema, type Checkpoint, type CopyProgress } from '../../model/migration.ts';
import { metrics } from '../../model/metrics.ts';
import { formatSeconds } from '../../model/sizes.ts';
import { beatEveryMs } from '../beating.ts';
import { Standing } from '../standing.ts';
import type { CopySlots } from './copy-slots.ts';
import { speedMeter } from './speed-meter.ts';

/** Tells a migration's workflow where its transfer is. Must not throw: progress is news, not truth. */
export type ProgressReporter = (progress: {
  bytesDone: number;
  bytesPerSecond: number;
  /** While the destination is being zeroed, before the first byte: how far that is. */
  zeroedBytes?: number | undefined;
}) => Promise<void>;

type Run = (
  from: Checkpoint,
  options: { signal: AbortSignal; onProgress: (checkpoint: Checkpoint, position?: number) => void },
) => Promise<{ checkpoint: Checkpoint; finished: boolean }>;

/** First report to the workflow after this long; each next one after half as long again, so that a day's copy makes few events. */
const firstReportMs = 5_000;
const reportGrowth = 1.5;

/** A process that does not die when told to hangs in its device; it is left to the next try's lock. */
const endPatienceMs = 10_000;

/**
 * Runs a transfer inside an activity: goes on from the last beat of a lost try, beats with position and speed, reports now and then
 * to the workflow, and fails with `NoProgress` when nothing moves. Stopped (pause, cap, cancel, worker shutdown): returns the
 * flushed position as an ordinary result, so that nothing of it is lost.
 */
export async function runWithProgress(
  deps: { slots: CopySlots; reportProgress: ProgressReporter; noProgressMs: number },
  input: { sizeBytes: number; from: Checkpoint },
  run: Run,
): Promise<{ checkpoint: Checkpoint; finished: boolean }> {
  const context = Context.current();
  const from = lastBeat(context.info.heartbeatDetails) ?? input.from;
  const meter = speedMeter(from.offset, Date.now());
  const zeroing = speedMeter(from.zeroedBytes ?? 0, Date.now());
  const bytesDone = context.metricMeter.createCounter(metrics.bytesDone, undefined, 'Bytes that transfers went over');
  const stuck = new AbortController();
  let latest = from;
  let position = from.offset;
  /** Where the transfer itself is: behind `position` while it goes over what an earlier try had done. */
  let told = -1;
  let counted = position;
  // null while it waits for its turn: that is no lack of progress.
  let standing: Standing | null = null;
  let reportAt = Date.now() + firstReportMs;
  let reportEvery = firstReportMs;

  const count = () => {
    bytesDone.add(position - counted);
    counted = position;
  };
  const beat = () => {
    const now = Date.now();
    count();
    meter.sample(position, now);
    const { zeroedBytes } = latest;
    if (zeroedBytes !== undefined) zeroing.sample(zeroedBytes, now);
    const progress: CopyProgress = {
      checkpoint: latest,
      position,
      totalBytes: input.sizeBytes,
      bytesPerSecond: (zeroedBytes === undefined ? meter : zeroing).bytesPerSecond(),
    };
    context.heartbeat(progress);
    if (now >= reportAt) {
      reportEvery *= reportGrowth;
      reportAt = now + reportEvery;
      void deps.reportProgress({ bytesDone: position, bytesPerSecond: progress.bytesPerSecond, zeroedBytes });
    }
    if (standing && standing.look() > deps.noProgressMs) {
      stuck.abort(
        new FerryError(
          'NoProgress',
          `No byte moved for ${formatSeconds(deps.noProgressMs / 1000)} at ${zeroedBytes ?? position} of ${input.sizeBytes} bytes${zeroedBytes === undefined ? '' : ' to zero'}: the device or the network hangs.`,
        ),
      );
    }
  };
  const timer = setInterval(beat, beatEveryMs);
  try {
    return await deps.slots.run(context.cancellationSignal, async () => {
      standing = new Standing();
      const signal = AbortSignal.any([context.cancellationSignal, stuck.signal]);
      const running = run(from, {
        signal,
        onProgress: (checkpoint, at = checkpoint.offset) => {
          // Zeroing moves no byte, but it is no standstill.
          if (at > told || (checkpoint.zeroedBytes ?? 0) > (latest.zeroedBytes ?? 0)) standing?.moved();
          latest = checkpoint;
          told = Math.max(told, at);
          position = Math.max(position, at);
        },
      });
      const result = await Promise.race([running, hopeless(signal)]);
      position = Math.max(position, result?.checkpoint.offset ?? 0);
      stuck.signal.throwIfAborted();
      return result ?? { checkpoint: latest, finished: false };
    });
  } catch (error) {
    if (error instanceof FerryError)
      throw new FerryError(error.type, error.message, { ...error.details, checkpoint: latest }, { cause: error });
    throw error;
  } finally {
    clearInterval(timer);
    count();
  }
}

/** Null, a while after the signal: for a transfer that does not end although it was told to. */
function hopeless(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => setTimeout(() => resolve(null), endPatienceMs).unref(), { once: true });
  });
}

function lastBeat(details: unknown): Checkpoint | null {
  const parsed = checkpointSchema.safeParse((details as Partial<CopyProgress> | undefined)?.checkpoint);
  return parsed.success ? parsed.data : null;
}
