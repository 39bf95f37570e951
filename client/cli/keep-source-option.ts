import { Option } from 'commander';
import { keepSourceSeconds } from '../../model/kept-source.ts';
import { durationSeconds } from '../../model/sizes.ts';
import { checked } from './arguments.ts';

/** For how long the source stays after the switch. */
export function keepSourceOption(): Option {
  return new Option(
    '--keep-source <duration>',
    'keep the source for so long, e.g. 24h or 7d, so that `ferry migration undo` can go back to it',
  ).argParser(checked('keep-source', durationSeconds.pipe(keepSourceSeconds)));
}
