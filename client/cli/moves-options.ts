import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { evacuationSource, moveLimits } from '../../model/evacuation.ts';
import { verifyMode, type VerifyMode } from '../../model/migration.ts';
import { bandwidth } from '../../model/sizes.ts';
import { checked } from './arguments.ts';

/** The node or back end that a command is about. */
export function sourceArgument(): Argument {
  return new Argument('<host>', 'a node, or a back end (node@name)').argParser(checked('host', evacuationSource));
}

/** A running evacuation's name: its source, or `balance`. */
export function movesArgument(): Argument {
  return new Argument('<host>', 'the node or back end that is evacuated, or balance').argParser(
    checked('host', evacuationSource),
  );
}

/** How many moves, how fast, how proven: the options of all commands that move many volumes. */
export interface MovesOptions {
  maxConcurrent?: number;
  maxPerSource?: number;
  maxPerDestination?: number;
  bandwidth?: number | null;
  verify?: VerifyMode;
  onFailure: 'continue' | 'stop';
  detach?: true;
}

const count = moveLimits.shape.total.unwrap();

export function addMovesOptions(command: Command): Command {
  return command
    .option(
      '--max-concurrent <number>',
      'at most so many moves at once',
      checked('max-concurrent', z.coerce.number().pipe(count)),
    )
    .option('--max-per-source <number>', '... from one node', checked('max-per-source', z.coerce.number().pipe(count)))
    .option(
      '--max-per-destination <number>',
      '... to one node',
      checked('max-per-destination', z.coerce.number().pipe(count)),
    )
    .option('--bandwidth <rate>', 'at most so fast, all moves together, e.g. 400MiB/s', checked('bandwidth', bandwidth))
    .option('--verify <how>', 'both, reread, inline or none, as for `ferry migrate`', checked('verify', verifyMode))
    .option(
      '--on-failure <what>',
      'after a volume that could not be moved: continue with the others, or stop',
      checked('on-failure', z.enum(['continue', 'stop'], { error: 'is neither continue nor stop' })),
      'continue',
    )
    .option('-d, --detach', 'do not wait for the end');
}

/** What the options say, as a request has it. */
export function moveSettingsOf(o: MovesOptions) {
  return {
    limits: {
      ...(o.maxConcurrent === undefined ? {} : { total: o.maxConcurrent }),
      ...(o.maxPerSource === undefined ? {} : { perSourceNode: o.maxPerSource }),
      ...(o.maxPerDestination === undefined ? {} : { perDestinationNode: o.maxPerDestination }),
    },
    bandwidth: o.bandwidth ?? null,
    verify: o.verify ?? null,
    onFailure: o.onFailure,
  };
}
