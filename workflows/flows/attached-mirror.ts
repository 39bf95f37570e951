import { isCancellation, sleep } from '@temporalio/workflow';
import type { DiskSource } from '../../activities/compute/disk-source.ts';
import type { DiskOfInstance } from '../../activities/compute/find-domain.ts';
import { computeSteps, computeTransfers } from '../activities.ts';
import { reasonOf } from '../failures.ts';
import type { MigrationRun } from '../migration-run.ts';
import type { AttachedDestination } from './attached-destination.ts';

/** A running guest's disk. */
export interface AttachedDisk extends DiskOfInstance {
  readonly computeHost: string;
  readonly source: DiskSource;
}

/** Before a lost mirror is begun anew; doubles up to the second figure. Seconds. */
const firstPause = 1;
const longestPause = 15;

/** A mirror begins anew from its start, and nobody says why the last one failed: one that always fails must not copy for ever. */
const mostMirrors = 10;

/**
 * Mirrors the disk until both sides hold the same, in as many stretches as it takes: a pause or a new cap ends a stretch, and so does a
 * destination that is lost; that one's export is brought back. Returns the bytes mirrored. When it fails the mirror may still run.
 */
export async function mirrorUntilReady(
  run: MigrationRun,
  disk: AttachedDisk,
  destination: AttachedDestination,
): Promise<number> {
  const { computeHost, ...at } = disk;
  const patience = run.request.nodeTimeoutSeconds;
  let pause = firstPause;
  for (let mirrors = 1; ;) {
    run.throwIfCancelled();
    try {
      if (run.state.paused) await computeSteps(computeHost, patience).pauseMirror(at);
      const reached = await run.stretch(() =>
        computeTransfers(computeHost, patience).mirrorDisk.executeWithOptions(
          { summary: `mirror the disk of instance ${at.instance} to ${destination.there.backEnd}` },
          [{ ...at, destination: destination.source, bandwidth: run.state.bandwidth }],
        ),
      );
      run.report({ bytesDone: reached.bytesDone, bytesPerSecond: 0 });
      if (reached.ready && !run.state.paused) return reached.bytesDone;
    } catch (error) {
      if (isCancellation(error)) continue; // a stretch that was ended before it began
      const reason = reasonOf(error);
      if (reason.type !== 'MirrorFailed' && reason.type !== 'NoProgress') throw error;
      if (mirrors >= mostMirrors) throw error;
      mirrors += 1;
      if (reason.details?.['because'] === 'by-hand') {
        run.waitFor(reason.message);
        await sleep(`${pause}s`, { summary: 'before the mirror is put right' });
        pause = Math.min(pause * 2, longestPause);
        run.waitFor(null);
        continue;
      }
      run.waitFor(`the destination's export on ${destination.there.backEnd}: ${reason.message}`);
      if (reason.type === 'NoProgress') await destination.endExport();
      await sleep(`${pause}s`, { summary: 'before the mirror is begun anew' });
      pause = Math.min(pause * 2, longestPause);
      await destination.export(patience, { needsRoom: true });
      run.waitFor(null);
    }
  }
}
