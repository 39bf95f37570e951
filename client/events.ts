import * as z from 'zod';
import { webhookName, type Delivery, type DeliveryState } from '../model/event.ts';
import { FerryError } from '../model/errors.ts';
import { discardDeliveries, listDeliveries, retryDeliveries, type DeliveryChoice } from '../registry/events.ts';
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

/** What an administrator may ask about events and webhooks. */
export function eventCommands({ registry, identity }: Context) {
  return {
    /** How events stand with the webhooks, the last that happened first: what is not told yet, or never will be; with `all` also what is told. */
    async listEvents(
      asked: { webhook?: string | undefined; limit?: number | undefined; all?: boolean | undefined } = {},
    ): Promise<Delivery[]> {
      requireAdmin(identity, 'list events');
      const states: readonly DeliveryState[] | undefined = asked.all ? undefined : ['waiting', 'dead'];
      return listDeliveries(registry, { ...parseInput(filter, asked), states });
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
