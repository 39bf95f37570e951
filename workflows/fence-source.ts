import { sleep } from '@temporalio/workflow';
import { nodeOf } from '../model/ids.ts';
import { storageSteps } from './activities.ts';
import type { CleanUpStep } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';
import type { MigrationRun } from './migration-run.ts';

/** A node that answers does so at once, but whoever is connected gets some seconds to let go. Seconds. */
const patience = 20;
/** Between two tries while somebody uses it; doubles up to the second figure. Seconds. */
const firstPause = 1;
const longestPause = 15;

/**
 * Lets nobody write to the device that a guest's volume has left, before it is retired or kept. False: somebody does, who has to be gone first. A
 * node that is away is not waited for: its guest, if it has one, has no way to the device either, and the clean-up waits for it.
 */
export async function fenceSource(run: MigrationRun, step: CleanUpStep): Promise<boolean> {
  if (step.kind !== 'retireSource') return true;
  const { kind: _, ...left } = step;
  try {
    await storageSteps(nodeOf(left.backEnd), patience).fenceSource.executeWithOptions(
      { summary: `nobody writes to ${left.deviceName} on ${left.backEnd} any more` },
      [left],
    );
    run.waitFor(null);
    return true;
  } catch (error) {
    const reason = reasonOf(error);
    if (reason.type !== 'VolumeInUse') return true;
    run.waitFor(`the source on ${left.backEnd}, which the volume has left: ${reason.message}`);
    return false;
  }
}

/** Resolves when nobody uses that device any more: what is written to it is not on the volume. */
export async function untilFenced(run: MigrationRun, step: CleanUpStep): Promise<void> {
  for (let pause = firstPause; !(await fenceSource(run, step)); pause = Math.min(pause * 2, longestPause))
    await sleep(`${pause}s`, { summary: 'somebody uses the source that the volume has left' });
}
