import { readFile } from 'node:fs/promises';
import type { WebhookConfiguration } from '../../configuration/schema.ts';
import { secondsToNextTry, type DeliveryState, type Event } from '../../model/event.ts';
import { cloudEvent } from '../../model/notifications/cloud-event.ts';
import { plainText } from '../../model/text.ts';
import { dueDeliveries, findDelivery, noteDelivered, noteFailed } from '../../registry/events.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { notificationInputs } from '../inputs/notifications.ts';
import { post } from './post.ts';
import { readKeys, signedHeaders } from './sign.ts';

/** A receiver that does not answer in so long is asked again later. Milliseconds. */
const answerMs = 10_000;

/** The receiver has understood it and will never take it. */
const never: ReadonlySet<number> = new Set([400, 410, 413, 422]);

/** What came of a try. */
type Tried = { delivered: true } | { delivered: false; problem: string; again: boolean; askedFor: number | null };

export type NotificationActivities = ReturnType<typeof createNotificationActivities>;

/** What tells events to webhooks. All may be repeated; a receiver may hear of an event more than once. */
export function createNotificationActivities(deps: {
  registry: Registry;
  /** Those of this worker. */
  webhooks: readonly WebhookConfiguration[];
}) {
  const { registry } = deps;
  const webhooks = new Map(deps.webhooks.map((each) => [each.name, each]));
  return checkInputs(notificationInputs, {
    /** The events that are to be told now, of each volume one. None for a webhook that this worker does not have: one that has it will ask. */
    dueEvents: async ({ webhook, limit }: { webhook: string; limit: number }): Promise<number[]> =>
      webhooks.has(webhook) ? (await dueDeliveries(registry, webhook, limit)).map(({ sequence }) => sequence) : [],

    /** Makes one try, if it is the event's turn, and notes what came of it. */
    deliverEvent: async (at: { webhook: string; sequence: number }): Promise<DeliveryState> => {
      const webhook = webhooks.get(at.webhook);
      if (!webhook) return 'waiting';
      const found = await findDelivery(registry, at);
      if (!found) return 'delivered';
      const tried = await tryOnce(webhook, found.event, found.registry);
      if (tried.delivered) {
        await noteDelivered(registry, at);
        return 'delivered';
      }
      return noteFailed(registry, {
        ...at,
        problem: plainText.parse(tried.problem),
        againSeconds: tried.again ? secondsToNextTry(found.tries + 1, tried.askedFor) : null,
        giveUpSeconds: webhook.giveUpHours * 3600,
      });
    },
  });
}

async function tryOnce(webhook: WebhookConfiguration, event: Event, registry: string): Promise<Tried> {
  try {
    const body = JSON.stringify(cloudEvent(event, { registry, form: webhook.data }));
    const atSeconds = Math.floor(Date.now() / 1000);
    const headers = {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'user-agent': 'ferry',
      ...signedHeaders(await readKeys(webhook.secretFile), { id: event.id, atSeconds, body }),
    };
    // Read each time: what was renewed is used.
    const ca = webhook.caFile === undefined ? null : await readFile(webhook.caFile, 'utf8');
    const { status, isTaken, retryAfterSeconds, words } = await post(
      { url: webhook.url, ca, timeoutMs: answerMs },
      headers,
      body,
    );
    if (isTaken) return { delivered: true };
    const problem = `it answered ${status}${words === '' ? '' : `: ${words}`}`;
    return { delivered: false, problem, again: !never.has(status), askedFor: retryAfterSeconds };
  } catch (error) {
    return { delivered: false, problem: (error as Error).message, again: true, askedFor: null };
  }
}
