import { Argument, Option, type Command } from 'commander';
import * as z from 'zod';
import { webhookName, type Delivery } from '../../model/event.ts';
import { checked } from './arguments.ts';
import { addListOptions, listing, terminalWidth, type Column, type ListOptions } from './listing.ts';
import { withFerry } from './session.ts';
import { utc } from './volume-properties.ts';

const columns: readonly Column<Delivery>[] = [
  { title: 'Event', text: (d) => d.id },
  { title: 'At', text: (d) => utc(d.at), spare: 2 },
  { title: 'Kind', text: (d) => d.kind },
  { title: 'Outcome', text: (d) => d.outcome, spare: 3 },
  { title: 'Subject', text: (d) => d.subject, spare: 4 },
  { title: 'Webhook', text: (d) => d.webhook },
  { title: 'State', text: (d) => d.state },
  { title: 'Tries', text: (d) => String(d.tries), spare: 5 },
  { title: 'Problem', text: (d) => d.problem ?? '', spare: 1 },
];

interface Options extends ListOptions {
  webhook?: string;
  all?: true;
}

/** `ferry event list`, `retry`, `discard` and `test`. */
export function addEvent(program: Command): void {
  const event = program.command('event').description('what happened, and whom it is told (webhooks)');
  addListOptions(
    event
      .command('list')
      .description('list events that a webhook waits for or will not get, the last first')
      .addOption(webhookOption('only those for this webhook'))
      .option('--all', 'those that were told, too'),
    100,
  ).action((options: Options, command: Command) =>
    withFerry(command, async ({ ferry, answer }) => {
      const found = await ferry.listEvents(options);
      answer(found, listing(columns, found, { columns: options.columns, width: terminalWidth() }));
    }),
  );
  chosen(
    event.command('retry').description('tell events at once that wait or are dead, one or all of a webhook'),
  ).action((eventId: string | undefined, { webhook }: Options, command: Command) =>
    withFerry(command, async ({ ferry, answer }) => {
      const retried = await ferry.retryEvents({ eventId, webhook });
      answer({ retried }, `${counted(retried)} told again.`);
    }),
  );
  chosen(event.command('discard').description('tell events nobody any more that wait or are dead')).action(
    (eventId: string | undefined, { webhook }: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const discarded = await ferry.discardEvents({ eventId, webhook });
        answer({ discarded }, `${counted(discarded)} discarded.`);
      }),
  );
  event
    .command('test')
    .description('tell a webhook an event that means nothing (ferry.webhook.test.success), and wait until it has it')
    .argument('<webhook>', 'its name in the configuration of the control workers', checked('webhook', webhookName))
    .option('--wait <seconds>', 'for so long at most', checked('--wait', z.coerce.number().int().min(1).max(3600)), 30)
    .action((webhook: string, { wait }: { wait: number }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const told = await ferry.testWebhook({ webhook, waitSeconds: wait });
        answer(told, `Webhook ${webhook} has taken event ${told.id}.`);
      }),
    );
}

function chosen(command: Command): Command {
  const id = new Argument('[event]', 'its id; without it all of the webhook').argParser(
    checked('event', z.uuid('is not the id of an event (expected a UUID)')),
  );
  return command.addArgument(id).addOption(webhookOption('only for this webhook'));
}

function webhookOption(description: string): Option {
  return new Option('--webhook <name>', description).argParser(checked('webhook', webhookName));
}

function counted(deliveries: number): string {
  return deliveries === 1 ? '1 event is' : `${deliveries} events are`;
}
