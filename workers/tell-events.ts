import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { WebhookConfiguration } from '../configuration/schema.ts';
import { messages } from '../model/messages.ts';
import { WorkflowNotFoundError } from '@temporalio/common';
import { controlQueue, deliveryWorkflowId } from '../model/names.ts';
import { announceWebhook, dueDeliveries, forgetOldEvents } from '../registry/events.ts';
import type { Registry } from '../registry/open-registry.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/** An event is told about so soon. Milliseconds. */
const lookEveryMs = 2_000;
/** A workflow that was told that something is due is told again so much later, if it still is. Milliseconds. */
const tellAgainMs = 30_000;
const forgetEveryMs = 3600_000;

/**
 * As long as it runs: says to the registry which webhooks this worker has, and to the workflow of each when something is due; forgets what is
 * old. Several control workers do the same without harm.
 */
export async function tellEvents(deps: {
  registry: Registry;
  client: Client;
  webhooks: readonly WebhookConfiguration[];
  log?: Pick<Logger, 'warn'> | undefined;
}): Promise<{ stop: () => void }> {
  const { registry, client, webhooks, log } = deps;
  /** Of each webhook what its workflow was told of last. */
  const told = new Map<string, { what: string; atMs: number }>();
  let forgottenMs = Number.NEGATIVE_INFINITY;
  const tell = async ({ name, kinds }: WebhookConfiguration) => {
    await announceWebhook(registry, { name, kinds: kinds ?? null });
    const [first] = await dueDeliveries(registry, name, 1);
    if (!first) return;
    // Another try of the same event is another thing to tell.
    const what = `${first.sequence} ${first.dueAt.getTime()}`;
    const before = told.get(name);
    const atMs = performance.now();
    if (before?.what === what && atMs - before.atMs < tellAgainMs) return;
    await client.workflow.signalWithStart('deliverEvents', {
      workflowId: deliveryWorkflowId(name),
      taskQueue: controlQueue,
      args: [{ webhook: name }],
      signal: messages.eventsDue,
      signalArgs: [],
      staticSummary: `what happened, for ${name}`,
    });
    told.set(name, { what, atMs });
  };
  const look = async () => {
    await Promise.all(webhooks.map(tell));
    if (performance.now() - forgottenMs < forgetEveryMs) return;
    forgottenMs = performance.now();
    for (const name of await forgetOldEvents(registry)) await endDelivery(client, name);
  };
  const everyMs = webhooks.length === 0 ? forgetEveryMs : lookEveryMs;
  return everyFewSeconds(look, (error) => log?.warn({ error: error.message }, 'events could not be told'), everyMs);
}

/** Nobody is told by it any more. Not there: done. */
async function endDelivery(client: Client, webhook: string): Promise<void> {
  try {
    await client.workflow.getHandle(deliveryWorkflowId(webhook)).terminate('no worker has this webhook any more');
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
