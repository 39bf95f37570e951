import {
  ApplicationFailure,
  condition,
  continueAsNew,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from '@temporalio/workflow';
import * as z from 'zod';
import { webhookName } from '../model/event.ts';
import { notifications } from './activities.ts';
import { hasLongHistory } from './clean-up-to-the-end.ts';
import * as messages from './messages.ts';

/** So many tries at once: a receiver that hangs must not take the control workers from migrations. */
const lanes = 4;

/** So many events are asked for at a time. */
const atATime = 100;

const order = z.object({ webhook: webhookName });

// It lasts as long as its webhook: a version of a deployment must not have to stay for it. Without a deployment there is none to leave.
setWorkflowOptions(
  () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'AUTO_UPGRADE' } : {}),
  deliverEvents,
);

/**
 * Tells a webhook what is due whenever control workers signal that something is. One for each webhook, for as long as it is configured;
 * ended from outside, it is begun anew with the next event. What is due is the registry's to say: nothing is remembered here.
 */
export async function deliverEvents(input: unknown): Promise<void> {
  const parsed = order.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const { webhook } = parsed.data;
  let isDue = true;
  let waiting = 0;
  setHandler(messages.eventsDue, () => void (isDue = true));
  for (;;) {
    await condition(() => isDue);
    isDue = false;
    const due = await notifications.dueEvents.executeWithOptions({ summary: 'what is due?' }, [
      { webhook, limit: atATime },
    ]);
    if (due.length > 0) {
      waiting = 0;
      const work = async () => {
        for (let sequence = due.shift(); sequence !== undefined; sequence = due.shift()) {
          const state = await notifications.deliverEvent.executeWithOptions({ summary: `event ${sequence}` }, [
            { webhook, sequence },
          ]);
          if (state === 'waiting') waiting += 1;
        }
      };
      await Promise.all(Array.from({ length: lanes }, work));
      // Of a volume's events one was told: the next may be due.
      isDue = true;
    } else {
      setCurrentDetails(
        waiting === 0 ? 'All is told.' : `${waiting} tries came to nothing: \`ferry event list\` tells why.`,
      );
    }
    if (hasLongHistory()) return continueAsNew<typeof deliverEvents>({ webhook });
  }
}
