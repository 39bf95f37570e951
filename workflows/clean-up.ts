import { setCurrentDetails } from '@temporalio/workflow';
import { describe, runCleanUpToTheEnd, type CleanUpStep } from './clean-up-steps.ts';

/** What a clean-up is started with: by a workflow that could not do it in time. */
export interface CleanUpInput {
  volumeId: string;
  /** For people: what left this behind. */
  after: string;
  steps: CleanUpStep[];
}

/**
 * Takes away what was left on a node that was gone, however long that node stays away. The volume itself was released
 * before: nobody waits for this. Never fails; ends when nothing is left.
 */
export async function cleanUp(input: CleanUpInput): Promise<void> {
  await runCleanUpToTheEnd(input.steps, (left) =>
    setCurrentDetails(
      [`Clean-up after ${input.after}; waiting for its nodes:`, ...left.map((s) => `- ${describe(s)}`)].join('\n'),
    ),
  );
  setCurrentDetails(`Nothing is left of ${input.after}.`);
}
