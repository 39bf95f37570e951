import type { Command } from 'commander';
import { withFerry } from './session.ts';
import { table } from './table.ts';
import { pythonTime } from './volume-properties.ts';

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
          pythonTime(p.startedAt).slice(0, 19),
          p.finishedAt === null ? '' : pythonTime(p.finishedAt).slice(0, 19),
          p.requestedBy,
        ]);
        answer(plans, table(['Source', 'Kind', 'State', 'Started', 'Finished', 'By'], rows));
      }),
    );
}
