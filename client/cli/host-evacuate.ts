import type { Command } from 'commander';
import * as z from 'zod';
import { evacuationRequest, moveOrder, type MoveOrder } from '../../model/evacuation.ts';
import { backEndName } from '../../model/ids.ts';
import { durationSeconds } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { followMoves } from './follow-moves.ts';
import { keepSourceOption } from './keep-source-option.ts';
import { addMovesOptions, moveSettingsOf, sourceArgument, type MovesOptions } from './moves-options.ts';
import { planOfEvacuation } from './moves-text.ts';
import { withFerry } from './session.ts';
import { label } from '../../model/text.ts';

export interface EvacuateOptions extends MovesOptions {
  to?: string[];
  order: MoveOrder;
  reason?: string;
  startAt?: string;
  window?: number;
  keepSource?: number;
  schedule?: string;
  dryRun?: true;
}

/** `ferry host evacuate`: empties a node or back end. */
export function addHostEvacuate(host: Command): void {
  const evacuate = host
    .command('evacuate')
    .description('disable a node or back end, and move every volume off it; waits and shows progress, Ctrl-C detaches')
    .addArgument(sourceArgument());
  addEvacuationOptions(evacuate)
    .option(
      '--start-at <time>',
      'begin then, e.g. 2026-11-29T22:00:00Z',
      checked('start-at', evacuationRequest.shape.startAt.unwrap().unwrap()),
    )
    .option('--window <duration>', 'begin no move after so long, e.g. 4h', checked('window', durationSeconds))
    .option(
      '--schedule <cron>',
      'every time this comes, e.g. "0 22 * * 6" (UTC), until it is empty',
      checked('schedule', z.string().regex(/^\S+( \S+){4}$/, 'is not a cron line of five fields')),
    )
    .addOption(keepSourceOption())
    .option('--dry-run', 'only say what would move where, and what would stay and why, by what the registry knows')
    .action((source: string, o: EvacuateOptions, command: Command) =>
      withFerry(command, async (session) => {
        const { ferry, answer } = session;
        const request = evacuationOf(source, o);
        if (o.dryRun) {
          const plan = await ferry.planEvacuation(request);
          answer(plan, planOfEvacuation(source, plan));
          if (plan.homeless.length > 0) process.exitCode = exitCodes.refusedOrFailed;
          return;
        }
        if (o.schedule !== undefined) {
          await ferry.scheduleEvacuation(request, o.schedule);
          answer(
            { source, schedule: o.schedule },
            `${source} is evacuated at ${o.schedule} (UTC), until it is empty.\nTake it back: ferry evacuation unschedule ${source}`,
          );
          return;
        }
        const { planId } = await ferry.startEvacuation(request);
        const begins = o.startAt === undefined ? 'is being evacuated' : `is evacuated from ${o.startAt} on`;
        if (o.detach || o.startAt !== undefined)
          answer({ planId, source }, `${source} ${begins}.\nWatch it: ferry evacuation watch ${source}`);
        else await followMoves(session, planId, source);
      }),
    );
}

/** What evacuate and decommission have in common. */
export function addEvacuationOptions(command: Command): Command {
  return addMovesOptions(
    command
      .option(
        '--to <hosts...>',
        'only to these back ends; else wherever there is room in the zone',
        (text: string, before: string[] | undefined) => [...(before ?? []), checked('to', backEndName)(text)],
      )
      .option('--order <order>', 'largest, smallest or detached-first', checked('order', moveOrder), 'largest')
      .option('--reason <text>', 'why, for others to read', checked('reason', label.min(1))),
  );
}

export function evacuationOf(source: string, o: EvacuateOptions) {
  return {
    source,
    ...moveSettingsOf(o),
    order: o.order,
    ...(o.to ? { to: o.to } : {}),
    ...(o.reason === undefined ? {} : { reason: o.reason }),
    ...(o.keepSource === undefined ? {} : { keepSourceSeconds: o.keepSource }),
    ...(o.startAt === undefined ? {} : { startAt: o.startAt }),
    ...(o.window === undefined ? {} : { windowSeconds: o.window }),
  };
}
