import { Argument, Option, type Command } from 'commander';
import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { volumeId } from '../../model/ids.ts';
import { checked } from './arguments.ts';
import { withFerry, type Session } from './session.ts';
import { table } from './table.ts';

/** What people call a volume by. A name is anything that Cinder lets a volume be called. */
const volumeText = z.string().min(1, 'names no volume').max(255, 'is too long for a name');

class VolumeArgument extends Argument {}
class VolumeOption extends Option {}

/** The volume that a command is about; its action gets the id. See `nameVolumes`. */
export function volumeArgument(): Argument {
  const described = "the volume's id, the beginning of it (4 signs or more), or its name";
  return new VolumeArgument('<volume>', described).argParser(checked('volume', volumeText));
}

/** The same as an option, `--volume` unless it has another name. */
export function volumeOption(description: string, flags = '--volume <volume>'): Option {
  return new VolumeOption(flags, description).argParser(checked('volume', volumeText));
}

/** Makes an id of what is given for a volume, before the action of any command of the program. An id costs no question. */
export function nameVolumes(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    for (const [i, argument] of command.registeredArguments.entries())
      if (argument instanceof VolumeArgument) command.processedArgs[i] = await idOf(command, command.args[i]);
    for (const option of command.options) {
      const name = option.attributeName();
      const given = command.getOptionValue(name) as string | undefined;
      if (option instanceof VolumeOption && given !== undefined)
        command.setOptionValueWithSource(name, await idOf(command, given), 'cli');
    }
  });
}

async function idOf(command: Command, given: string | undefined): Promise<string | undefined> {
  const id = volumeId.safeParse(given);
  if (id.success || given === undefined) return id.data;
  let found: string | undefined;
  await withFerry(command, async (session) => void (found = await lookUp(session, given)));
  return found;
}

/** The one volume that the caller can mean. `VolumeNotFound`, `InvalidInput` when it could be several. */
async function lookUp({ ferry }: Session, given: string): Promise<string> {
  const called = await ferry.volumesCalled(given);
  const [only] = called;
  if (only === undefined) {
    const message = `No volume has the name ${JSON.stringify(given)}, or an id that begins so. See: ferry list`;
    throw new FerryError('VolumeNotFound', message, { volume: given });
  }
  if (called.length === 1) return only.id;
  const candidates = table(
    ['ID', 'Name', 'Host'],
    called.map(({ id, name, host }) => [id, name ?? '', host]),
  );
  const message = `volume: ${JSON.stringify(given)} can be any of these; give the id:\n${candidates}`;
  throw new FerryError('InvalidInput', message, { fields: ['volume'], volumes: called.map(({ id }) => id) });
}
