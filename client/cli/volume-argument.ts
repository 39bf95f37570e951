import { Argument } from 'commander';
import { volumeId } from '../../model/ids.ts';
import { checked } from './arguments.ts';

/** The volume that a command is about. */
export function volumeArgument(): Argument {
  return new Argument('<volume>', "the volume's id").argParser(checked('volume', volumeId));
}
