import * as z from 'zod';
import { delivery, event, type Delivery, type DeliveryState, type Event } from '../model/event.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

/**
 * Says that a worker has this webhook: from now on it is told what happens, of the given kinds or of all. May be repeated; a name that nobody
 * has said for a day is told nothing more.
 */
export async function announceWebhook(
  registry: Queries,
  { name, kinds }: { name: string; kinds: readonly string[] | null },
): Promise<void> {
  await registry.rows(
    noColumns,
    `INSERT INTO webhooks AS w (name, kinds, heard_at) VALUES ($1, $2, now())
     ON CONFLICT (name) DO UPDATE SET kinds = excluded.kinds, heard_at = now()
     WHERE w.heard_at < now() - interval '1 minute' OR w.kinds IS DISTINCT FROM excluded.kinds`,
    [name, kinds],
  );
}

/**
 * Notes an event that says nothing but that somebody tries this webhook out; resolves with its id, or null when no worker has such a webhook.
 */
export async function noteTest(registry: Queries, webhook: string): Promise<string | null> {
  const [noted] = await registry.rows(
    z.object({ id: z.uuid() }),
    `WITH noted AS (
       INSERT INTO events (kind, outcome, subject, data) SELECT 'test', 'success', name, '{}' FROM webhooks
       WHERE name = $1 AND heard_at > now() - interval '1 day' RETURNING sequence, id, subject
     ), told AS (INSERT INTO event_deliveries (webhook, sequence, subject) SELECT subject, sequence, subject FROM noted)
     SELECT id FROM noted`,
    [webhook],
  );
  return noted?.id ?? null;
}

/** Of each subject the first event that waits: none of its later ones is told before. */
const heads = `SELECT DISTINCT ON (subject) subject, sequence, due_at FROM event_deliveries
  WHERE webhook = $1 AND state = 'waiting' ORDER BY subject, sequence`;

const dueDelivery = z.object({ sequence: z.number(), dueAt: z.date() });

/** The events that are to be told to the webhook now, those first that wait the longest, since when: of each subject one. */
export function dueDeliveries(
  registry: Queries,
  webhook: string,
  limit: number,
): Promise<z.infer<typeof dueDelivery>[]> {
  return registry.rows(
    dueDelivery,
    `WITH heads AS (${heads}) SELECT sequence, due_at FROM heads WHERE due_at <= now() ORDER BY due_at, sequence LIMIT $2`,
    [webhook, limit],
  );
}

const toTell = event.extend({ tries: z.number(), registry: z.uuid() });

/** An event that is to be told to the webhook, and how often that was tried; null when it is not its turn, or told already. */
export async function findDelivery(
  registry: Queries,
  at: { webhook: string; sequence: number },
): Promise<{ event: Event; tries: number; registry: string } | null> {
  const [found] = await registry.rows(
    toTell,
    `SELECT e.sequence, e.id, e.at, e.kind, e.outcome, e.subject, e.data, d.tries, r.id AS registry
     FROM event_deliveries d JOIN events e USING (sequence), registry_identity r
     WHERE d.webhook = $1 AND d.sequence = $2 AND d.state = 'waiting' AND NOT EXISTS (
       SELECT FROM event_deliveries o
       WHERE o.webhook = d.webhook AND o.subject = d.subject AND o.sequence < d.sequence AND o.state = 'waiting')`,
    [at.webhook, at.sequence],
  );
  if (!found) return null;
  const { tries, registry: identity, ...rest } = found;
  return { event: rest, tries, registry: identity };
}

/** The receiver has it. May be repeated. */
export async function noteDelivered(registry: Queries, at: { webhook: string; sequence: number }): Promise<void> {
  await registry.rows(
    noColumns,
    `UPDATE event_deliveries SET state = 'delivered', tries = tries + 1, first_try_at = coalesce(first_try_at, now()), problem = NULL
     WHERE webhook = $1 AND sequence = $2 AND state = 'waiting'`,
    [at.webhook, at.sequence],
  );
}

/**
 * A try came to nothing: it is made again after so many seconds. `dead` when there is to be no other one: the first was `giveUpSeconds` ago, or
 * there is no use in it (`again`: null).
 */
export async function noteFailed(
  registry: Queries,
  failed: { webhook: string; sequence: number; problem: string; againSeconds: number | null; giveUpSeconds: number },
): Promise<DeliveryState> {
  const [noted] = await registry.rows(
    z.object({ state: delivery.shape.state }),
    `UPDATE event_deliveries SET tries = tries + 1, first_try_at = coalesce(first_try_at, now()), problem = $3,
       due_at = now() + make_interval(secs => coalesce($4, 0)),
       state = CASE WHEN $4::float8 IS NULL OR first_try_at < now() - make_interval(secs => $5) THEN 'dead' ELSE 'waiting' END
     WHERE webhook = $1 AND sequence = $2 AND state = 'waiting' RETURNING state`,
    [failed.webhook, failed.sequence, failed.problem, failed.againSeconds, failed.giveUpSeconds],
  );
  return noted?.state ?? 'delivered';
}

/** How events stand with the webhooks, the last that happened first. */
export function listDeliveries(
  registry: Queries,
  filter: DeliveryChoice & { states?: readonly DeliveryState[] | undefined; limit: number },
): Promise<Delivery[]> {
  return registry.rows(
    delivery,
    `SELECT e.sequence, e.id, e.at, e.kind, e.outcome, e.subject, d.webhook, d.state, d.tries, d.due_at, d.problem
     FROM event_deliveries d JOIN events e USING (sequence)
     WHERE ($1::text IS NULL OR d.webhook = $1) AND ($2::text[] IS NULL OR d.state = ANY ($2)) AND ($3::uuid IS NULL OR e.id = $3)
     ORDER BY e.sequence DESC, d.webhook LIMIT $4`,
    [filter.webhook ?? null, filter.states ?? null, filter.eventId ?? null, filter.limit],
  );
}

/** Which deliveries: of one event, or all, to one webhook or to all. */
export interface DeliveryChoice {
  eventId?: string | undefined;
  webhook?: string | undefined;
}

const chosen = `($1::text IS NULL OR d.webhook = $1) AND ($2::uuid IS NULL OR d.sequence = (SELECT sequence FROM events WHERE id = $2))`;

/** What is dead, or waits for its next try, is tried at once, and as long again as at first. How many that are. */
export async function retryDeliveries(registry: Queries, { eventId, webhook }: DeliveryChoice): Promise<number> {
  const changed = await registry.rows(
    noColumns,
    `UPDATE event_deliveries d SET state = 'waiting', tries = 0, first_try_at = NULL, due_at = now()
     WHERE state <> 'delivered' AND ${chosen} RETURNING d.sequence`,
    [webhook ?? null, eventId ?? null],
  );
  return changed.length;
}

/** What is dead, or waits, is told nobody any more. How many that are. */
export async function discardDeliveries(registry: Queries, { eventId, webhook }: DeliveryChoice): Promise<number> {
  const gone = await registry.rows(
    noColumns,
    `DELETE FROM event_deliveries d WHERE state <> 'delivered' AND ${chosen} RETURNING d.sequence`,
    [webhook ?? null, eventId ?? null],
  );
  return gone.length;
}

/** Forgets events that are older than a month, told or not, and webhooks that no worker has had for a week: their names. */
export async function forgetOldEvents(registry: Queries): Promise<string[]> {
  await registry.rows(noColumns, `DELETE FROM events WHERE at < now() - interval '30 days'`);
  const gone = await registry.rows(
    z.object({ name: z.string() }),
    `DELETE FROM webhooks WHERE heard_at < now() - interval '7 days' RETURNING name`,
  );
  return gone.map(({ name }) => name);
}

const standing = z.object({
  webhook: z.string(),
  waiting: z.number(),
  dead: z.number(),
  /** For how long the event waits that has waited the longest; 0 without one. */
  oldestSeconds: z.number(),
});

/** How many events each webhook that some worker has waits for, and how many it will not get. */
export function countDeliveries(registry: Queries): Promise<z.infer<typeof standing>[]> {
  return registry.rows(
    standing,
    `SELECT w.name AS webhook, count(d.sequence) FILTER (WHERE d.state = 'waiting')::int AS waiting,
       count(d.sequence) FILTER (WHERE d.state = 'dead')::int AS dead,
       coalesce(extract(epoch FROM now() - min(e.at) FILTER (WHERE d.state = 'waiting')), 0)::float8 AS oldest_seconds
     FROM webhooks w LEFT JOIN event_deliveries d ON d.webhook = w.name AND d.state IN ('waiting', 'dead')
     LEFT JOIN events e ON e.sequence = d.sequence
     WHERE w.heard_at > now() - interval '1 day'
     GROUP BY w.name ORDER BY w.name`,
  );
}
