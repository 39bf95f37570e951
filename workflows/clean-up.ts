import { setCurrentDetails, sleep } from '@temporalio/workflow';
import { describe, runCleanUp, type CleanUpStep } from './clean-up-steps.ts';

/** What a clean-up is started with: by a workflow that could not do it in time. */
export interface CleanUpInput {
  volumeId: string;
  /** For people: what left this behind. */
  after: string;
  steps: CleanUpStep[];
}

/** A node that is away is asked again after this long; each round costs a handful of history events. */
const pauseBetweenRounds = '5m';

/** One round's patience: as long as a node that comes back needs to take the step up, without a new round. */
const roundSeconds = 24 * 3600;

/**
 * Takes away what was left on a node that was gone, however long that node stays away. The volume itself was released
 * before: nobody waits for this. Never fails; ends when nothing is left.
 */
export async function cleanUp(input: CleanUpInput): Promise<void> {
  let steps = input.steps;
  while (steps.length > 0) {
    setCurrentDetails(
      [`Clean-up after ${input.after}; waiting for its nodes:`, ...steps.map((s) => `- ${describe(s)}`)].join('\n'),
    );
    steps = await runCleanUp(steps, roundSeconds);
    if (steps.length > 0) await sleep(pauseBetweenRounds);
  }
  setCurrentDetails(`Nothing is left of ${input.after}.`);
}
