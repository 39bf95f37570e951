import type { Command } from 'commander';
import { formatBytes } from '../../model/sizes.ts';
import { movesArgument } from './moves-options.ts';
import { withFerry } from './session.ts';
import { propertyTable, table } from './table.ts';
import { pythonTime } from './volume-properties.ts';

/** `ferry evacuation show`: a plan and every volume of it. */
export function addEvacuationShow(evacuation: Command): void {
  evacuation
    .command('show')
    .description('the last evacuation of a node or back end: each volume, where it goes, or why it stays')
    .addArgument(movesArgument())
    .action((source: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const view = await ferry.findMoves(source);
        const moves = await ferry.listMoves(view.plan.id);
        const { plan, tally } = view;
        const head = propertyTable({
          source: plan.source,
          state: plan.outcome ?? (view.interrupted ? 'interrupted' : view.state?.paused ? 'paused' : 'running'),
          started_at: pythonTime(plan.startedAt),
          finished_at: plan.finishedAt === null ? null : pythonTime(plan.finishedAt),
          requested_by: plan.requestedBy,
          moved: `${tally.volumes.moved} (${formatBytes(tally.bytes.moved)})`,
          waiting: `${tally.volumes.waiting + tally.volumes.moving} (${formatBytes(tally.bytes.waiting + tally.bytes.moving)})`,
        });
        const rows = moves.map((m) => [
          m.volumeId,
          formatBytes(m.sizeBytes),
          m.state,
          m.destination ?? '',
          m.reasons.map(({ message }) => message).join(' '),
        ]);
        answer({ ...view, moves }, `${head}\n${table(['Volume', 'Size', 'State', 'To', 'Remark'], rows)}`);
      }),
    );
}
