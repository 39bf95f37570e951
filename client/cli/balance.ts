import type { Command } from 'commander';
import * as z from 'zod';
import { checked } from './arguments.ts';
import { followMoves } from './follow-moves.ts';
import { addMovesOptions, moveSettingsOf, type MovesOptions } from './moves-options.ts';
import { movesTable } from './moves-text.ts';
import { withFerry } from './session.ts';
import { label } from '../../model/text.ts';

interface Options extends MovesOptions {
  zone?: string;
  threshold: number;
  dryRun?: true;
}

/** `ferry balance`: evens out how full back ends are. */
export function addBalance(program: Command): void {
  const balance = program
    .command('balance')
    .description('move volumes so that the back ends of a zone are about equally full, as few bytes as it takes')
    .option('--zone <zone>', 'only this zone', checked('zone', label.min(1)))
    .option(
      '--threshold <percent>',
      'how far apart they may stay, in percent of their capacity',
      checked('threshold', z.coerce.number('is not a number').min(1, 'must be 1 to 100').max(100, 'must be 1 to 100')),
      10,
    );
  addMovesOptions(balance)
    .option('--dry-run', 'only propose the moves, by what the registry knows')
    .action((o: Options, command: Command) =>
      withFerry(command, async (session) => {
        const { ferry, answer } = session;
        const request = { ...moveSettingsOf(o), zone: o.zone ?? null, threshold: o.threshold / 100 };
        const moves = await ferry.planBalance(request);
        if (moves.length === 0) return answer([], 'The back ends are balanced; nothing is to be moved.');
        if (o.dryRun) return answer(moves, `${movesTable(moves)}\nNothing was done.`);
        const { planId } = await ferry.startBalance(request);
        if (o.detach)
          return answer({ planId }, 'Back ends are being balanced.\nWatch it: ferry evacuation watch balance');
        await followMoves(session, planId, 'balance');
      }),
    );
}
