import { CancellationScope } from '@temporalio/workflow';
import { nodeOf } from '../model/ids.ts';
import type { LiveProof } from '../model/device.ts';
import type { ClaimedMigration } from '../model/migration.ts';
import type { Reason } from '../model/errors.ts';
import { registry, storageSteps } from './activities.ts';
import type { Successor } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';
import type { MigrationRun } from './migration-run.ts';

/** One try; between two the operator's word is waited for. Seconds. */
const patienceSeconds = 30;
const firstPause = 1;
const longestPause = 60;

/**
 * After the switch the new device must say that it holds the volume, before anything of the old one is touched. One that does not answer is waited for,
 * for as long as it takes; the migration says for what. An operator who knows that it is lost goes back to the source: `returned`.
 * `proof`: what it says.
 */
export async function settleDestination(
  run: MigrationRun,
  m: ClaimedMigration,
  to: Successor,
): Promise<{ proof: LiveProof } | { returned: Reason }> {
  for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
    try {
      const proof = await storageSteps(nodeOf(to.backEnd), patienceSeconds).settleDestination.executeWithOptions(
        { summary: `${to.deviceName} on ${to.backEnd} holds the volume now` },
        [to],
      );
      run.parking.close();
      return { proof };
    } catch (error) {
      const reason = reasonOf(error);
      run.parking.open(
        { ...reason, message: whatIsAtStake(m, to, reason) },
        `the new device ${to.deviceName} on ${to.backEnd}: ${reason.message} The source is kept until it answers; if it is lost: ferry migration resolve ${m.claim.volumeId} source`,
      );
      const word = await run.parking.word(pause);
      if (word !== 'source' || !(await returnToSource(run, m))) continue;
      run.parking.close();
      return { returned: lost(m, to, reason) };
    }
  }
}

/** False when the source cannot hold the volume again: then it is waited on. */
async function returnToSource(
  run: MigrationRun,
  { claim, source, flow, sizeBytes }: ClaimedMigration,
): Promise<boolean> {
  // Its guest writes to the destination, dead or not: the source is not what it holds.
  if (flow === 'generic-attached') return false;
  return CancellationScope.nonCancellable(async () => {
    const { volumeId, epoch } = claim;
    try {
      await storageSteps(nodeOf(source.backEnd), patienceSeconds).reviveDevice.executeWithOptions(
        { summary: `${source.deviceName} on ${source.backEnd} holds the volume again` },
        [{ ...source, volumeId, generation: epoch + 1, sizeBytes }],
      );
    } catch (error) {
      run.waitFor(`the source ${source.deviceName} on ${source.backEnd}: ${reasonOf(error).message}`);
      return false;
    }
    await registry.returnToSource.executeWithOptions({ summary: 'record: the volume is on its source again' }, [
      { claim },
    ]);
    return true;
  });
}

function whatIsAtStake({ claim, source }: ClaimedMigration, to: Successor, reason: Reason): string {
  return `Volume ${claim.volumeId} was switched to ${to.backEnd}, and its device there does not answer for it: ${reason.message} Nobody could write to the volume since the switch, so on ${source.backEnd} it is as it was.`;
}

function lost({ source }: ClaimedMigration, to: Successor, reason: Reason): Reason {
  return {
    ...reason,
    message: `An operator took the volume back to ${source.backEnd}: after the switch ${to.deviceName} on ${to.backEnd} was lost. ${reason.message}`,
  };
}
