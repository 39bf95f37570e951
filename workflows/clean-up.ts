import { continueAsNew, log, setCurrentDetails, setHandler } from '@temporalio/workflow';
import * as z from 'zod';
import { backEndName } from '../model/ids.ts';
import type { CleanUpStep } from './clean-up-steps.ts';
import { LastingCleanUp } from './clean-up-to-the-end.ts';
import * as messages from './messages.ts';

/** What a clean-up is started with: by a workflow that could not do it in time. */
export interface CleanUpInput {
  volumeId: string;
  /** For people: what left this behind. */
  after: string;
  steps: CleanUpStep[];
}

/** As far as anything but our own workflows could send it: every step runs on the node of a back end. */
const someSteps = z.array(z.looseObject({ kind: z.string(), backEnd: backEndName }));

/**
 * Takes away what was left on nodes that were gone, however long they stay away. The volume itself was released before: nobody waits for
 * this. Never fails; ends when nothing is left. Who would start it while it runs sends his steps instead.
 */
export async function cleanUp(input: CleanUpInput): Promise<void> {
  const cleanUps = new LastingCleanUp((left) =>
    setCurrentDetails(
      [`Clean-up after ${input.after}; waiting for its nodes:`, ...left.map((line) => `- ${line}`)].join('\n'),
    ),
  );
  setHandler(messages.moreToCleanUp, (sent) => {
    const more = someSteps.safeParse(sent);
    if (more.success) cleanUps.add(more.data as unknown as CleanUpStep[]);
    else log.warn('steps of a clean-up that cannot be understood', { error: z.prettifyError(more.error) });
  });
  cleanUps.add(input.steps);
  const steps = await cleanUps.end();
  if (steps.length > 0) await continueAsNew<typeof cleanUp>({ ...input, steps });
  setCurrentDetails(`Nothing is left of ${input.after}.`);
}
