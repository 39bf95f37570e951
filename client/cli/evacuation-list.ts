import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { table } from './table.ts';
import { utc } from './volume-properties.ts';

const most = 100;

/** `ferry evacuation list`. */
export function addEvacuationList(evacuation: Command): void {
  evacuation
    .command('list')
    .description('list evacuations and balancings, the last begun first')
    .action((_options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const plans = await ferry.listPlans(most);
        const rows = plans.map((p) => [
          p.source,
          p.kind,
          p.outcome ?? 'running',
          utc(p.startedAt),
          p.finishedAt === null ? '' : utc(p.finishedAt),
          p.requestedBy,
        ]);
        answer(plans, table(['Source', 'Kind', 'State', 'Started', 'Finished', 'By'], rows));
      }),
    );
}
