import * as z from 'zod';

/** What of volumes and of plans is told: the registry's operations, and what moves. One word a kind, as the registry has it. */
export const eventKinds = [
  'create',
  'delete',
  'extend',
  'retype',
  'attach',
  'detach',
  'snapshot',
  'delete-snapshot',
  'revert',
  'manage',
  'unmanage',
  'manage-snapshot',
  'unmanage-snapshot',
  'transfer',
  'migrate',
  'evacuation',
  'balance',
] as const;

/** What can be told: of volumes and plans, and that an operator tries a webhook out, which goes to that one only. */
const toldKinds = [...eventKinds, 'test'] as const;
export type EventKind = (typeof toldKinds)[number];

/** A webhook as it is named in configurations, in the registry and in workflow ids. */
export const webhookName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, 'is not the name of a webhook: letters, digits, - and _');

/** Something that has come to its end, as the registry noted it. `data`: its rows as they were then. */
export const event = z.object({
  /** Of one subject, what happened later has the higher one. */
  sequence: z.number().int().positive(),
  id: z.uuid(),
  at: z.date(),
  kind: z.enum(toldKinds),
  outcome: z.string(),
  /** The volume's id; of a plan the node, back end or zone; of a test the webhook. */
  subject: z.string(),
  data: z.record(z.string(), z.unknown()),
});
export type Event = z.infer<typeof event>;

export const deliveryState = z.enum(['waiting', 'delivered', 'dead']);
export type DeliveryState = z.infer<typeof deliveryState>;

/** How an event stands with one webhook, for people. */
export const delivery = event.omit({ data: true }).extend({
  webhook: z.string(),
  state: deliveryState,
  tries: z.number().int().nonnegative(),
  /** When it is tried next, while it waits. */
  dueAt: z.date(),
  problem: z.string().nullable(),
});
export type Delivery = z.infer<typeof delivery>;

const firstWait = 5;
const longestWait = 900;
/** Who asks for more than that is asked again sooner. */
const longestAskedFor = 3_600;

/** After so many tries that failed the next one is made so much later, seconds: longer each time, and no sooner than the receiver asks for. */
export function secondsToNextTry(failedTries: number, askedFor: number | null): number {
  const wait = Math.min(firstWait * 2 ** Math.min(failedTries - 1, 30), longestWait);
  return Math.max(wait, Math.min(askedFor ?? 0, longestAskedFor));
}
