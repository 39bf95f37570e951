import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { webhookName, type Delivery, type DeliveryState } from '../model/event.ts';
import { FerryError } from '../model/errors.ts';
import {
  countDeliveries,
  discardDeliveries,
  listDeliveries,
  noteTest,
  retryDeliveries,
  type DeliveryChoice,
} from '../registry/events.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

const choice = z
  .object({ eventId: z.uuid('is not the id of an event').optional(), webhook: webhookName.optional() })
  .refine(
    ({ eventId, webhook }) => eventId !== undefined || webhook !== undefined,
    'name an event, a webhook, or both',
  );

const filter = z.object({ webhook: webhookName.optional(), limit: z.number().int().min(1).max(100_000).default(100) });

const trial = z.object({ webhook: webhookName, waitSeconds: z.number().int().min(1).max(3600).default(30) });
const lookEveryMs = 200;

/** What an administrator may ask about events and webhooks. */
export function eventCommands({ registry, identity }: Context) {
  const noSuchWebhook = async (webhook: string): Promise<FerryError> => {
    const names = (await countDeliveries(registry)).map((each) => each.webhook);
    const known = names.length > 0 ? `There are: ${names.join(', ')}.` : 'There is none; see docs/notifications.md.';
    return new FerryError('InvalidInput', `No control worker has a webhook ${webhook}. ${known}`, { webhook, names });
  };
  return {
    /** How events stand with the webhooks, the last that happened first: what is not told yet, or never will be; with `all` also what is told. */
    async listEvents(
      asked: { webhook?: string | undefined; limit?: number | undefined; all?: boolean | undefined } = {},
    ): Promise<Delivery[]> {
      requireAdmin(identity, 'list events');
      const states: readonly DeliveryState[] | undefined = asked.all ? undefined : ['waiting', 'dead'];
      return listDeliveries(registry, { ...parseInput(filter, asked), states });
    },

    /**
     * Tells a webhook an event that means nothing; resolves when the receiver has it. `InvalidInput`: no control worker has such a webhook.
     * `ToolFailed`: what the receiver, or the way to it, said; or nobody has tried it in time. Such an event is told nobody any more.
     */
    async testWebhook(asked: { webhook: string; waitSeconds?: number | undefined }): Promise<Delivery> {
      requireAdmin(identity, 'test webhooks');
      const { webhook, waitSeconds } = parseInput(trial, asked);
      const eventId = await noteTest(registry, webhook);
      if (eventId === null) throw await noSuchWebhook(webhook);
      for (const deadline = Date.now() + waitSeconds * 1000; ;) {
        const [at] = await listDeliveries(registry, { webhook, eventId, limit: 1 });
        if (at?.state === 'delivered') return at;
        if (at === undefined || at.tries > 0 || Date.now() > deadline) {
          await discardDeliveries(registry, { webhook, eventId });
          throw new FerryError(
            'ToolFailed',
            at === undefined || at.tries === 0
              ? `Nobody has told webhook ${webhook} anything in ${waitSeconds} s. Does a control worker run, and does Temporal?`
              : `Webhook ${webhook} did not take it: ${at.problem ?? 'it was not told why'}.`,
            { webhook, eventId },
          );
        }
        await sleep(lookEveryMs);
      }
    },

    /** What waits for its next try, or is dead, is tried at once, also after later events of its volume. How many that are. */
    async retryEvents(which: DeliveryChoice): Promise<number> {
      requireAdmin(identity, 'tell events');
      return mustBeSome(which, await retryDeliveries(registry, parseInput(choice, which)));
    },

    /** What waits, or is dead, is told nobody any more. How many that are. */
    async discardEvents(which: DeliveryChoice): Promise<number> {
      requireAdmin(identity, 'discard events');
      return mustBeSome(which, await discardDeliveries(registry, parseInput(choice, which)));
    },
  };
}

/** Of one event that was named, none is an error; of all of a webhook it is not. */
function mustBeSome({ eventId, webhook }: DeliveryChoice, count: number): number {
  if (count > 0 || eventId === undefined) return count;
  throw new FerryError(
    'InvalidInput',
    `No event ${eventId} waits or is dead${webhook === undefined ? '' : ` at ${webhook}`}. See: ferry event list`,
    { eventId },
  );
}
