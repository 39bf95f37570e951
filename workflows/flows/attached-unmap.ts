import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import { copyStart } from '../../model/migration.ts';
import { computeSteps, storageSteps, storageTransfers } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import type { AttachedDestination } from './attached-destination.ts';
import type { AttachedDisk } from './attached-mirror.ts';

/**
 * Gives back the room that zeros have taken on the destination, while the mirror, which is ready, is held. Whatever comes of it, no unmapping goes on
 * when this is over. False: something was written to the destination meanwhile, as by a worker that had been suspended and let the mirror go on;
 * that mirror is ended then, and a new one has to write all of it.
 */
export async function unmapUnderHeldMirror(
  run: MigrationRun,
  disk: AttachedDisk,
  destination: AttachedDestination,
  { sizeBytes, round }: { sizeBytes: number; round: number },
): Promise<boolean> {
  const { computeHost, ...at } = disk;
  const { backEnd, deviceName } = destination.there;
  const patience = run.request.nodeTimeoutSeconds;
  const hold = () =>
    computeSteps(computeHost, patience).holdMirror.executeWithOptions(
      { summary: `hold the mirror of instance ${at.instance}'s disk` },
      [at],
    );
  const held = await hold();
  // It takes its whole size then, as it would have without.
  if (!held) return true;
  const where = { ...destination.there, sizeBytes, round };
  try {
    await run.stretch(() =>
      storageTransfers(nodeOf(backEnd), patience).unmapZeros.executeWithOptions(
        { summary: `give back the room of the zeros of ${deviceName} on ${backEnd}` },
        [{ ...where, from: copyStart }],
      ),
    );
  } catch (error) {
    if (!isCancellation(error)) throw error;
  } finally {
    await CancellationScope.nonCancellable(() =>
      storageSteps(nodeOf(backEnd), patience).endUnmapping.executeWithOptions(
        { summary: `nothing more of ${deviceName} is unmapped` },
        [where],
      ),
    );
  }
  const still = await hold();
  if (still?.job === held.job && still.bytesDone === held.bytesDone) return true;
  await computeSteps(computeHost, patience).abortMirror.executeWithOptions(
    { summary: `end the mirror of instance ${at.instance}'s disk: it went on while zeros were unmapped` },
    [{ ...at, destination: destination.source }],
  );
  return false;
}
