import type { Ferry } from '../client/open-ferry.ts';
import type { Devices } from './devices.ts';
import type { FerryCommand } from './ferry.ts';
import { glanceAt } from './glance.ts';
import { screen } from './screen.ts';

export const storyFrom = 'server1@lvmstorage-1';
export const storyTo = 'server2@lvmstorage-2';
const [from, to] = [storyFrom, storyTo];
const sizeGib = 1;
/** The rest stays as it was made: zeros. Enough to watch, and quick to make. */
export const randomMib = 128;

/** What the stories read of `ferry show --json`. */
export interface ShownVolume {
  id: string;
  'os-vol-host-attr:host': string;
  'os-vol-mig-status-attr:name_id': string | null;
}

/** OpenStack's own example of a volume migration, with real data. Throws if anything is not as it must be in the end. */
export async function tellStory(ferry: FerryCommand, library: Ferry, devices: Devices): Promise<void> {
  screen.part('1. The available back ends');
  await ferry.show('host', 'list');

  screen.part(`2. A volume of ${sizeGib} GiB on the first, with ${randomMib} MiB of random data (5-30 s)`);
  const create = ['create', '--size', String(sizeGib), '--name', 'test', '--description', 'test', '--host', from];
  screen.command('$', ['ferry', ...create]);
  const { id } = await ferry.ask<ShownVolume>(...create);
  await devices.fill(from, `volume-${id}`, randomMib);
  const before = await devices.sha256(from, `volume-${id}`);

  screen.part('3. The volume before: on the first back end, its device named after its id');
  await ferry.show('show', id);
  await devices.list(from);
  await devices.list(to);

  screen.part('4. Migrate it to the second back end: copy, read back and compare, switch, clean up (15-90 s)');
  const glance = glanceAt(library, id);
  await ferry.show('migrate', id, to);
  screen.note(`Meanwhile its migstat was ${(await glance.end()).join(', then ')}.`);

  screen.part('5. The volume afterwards: the same id, on the second back end, its device named after name_id');
  await ferry.show('show', id);
  const after = await ferry.ask<ShownVolume>('show', id);
  const device = `volume-${after['os-vol-mig-status-attr:name_id'] ?? id}`;
  await devices.list(from);
  await devices.list(to);
  const found = await devices.sha256(to, device);

  if (after['os-vol-host-attr:host'] !== to || found !== before) {
    throw new Error(
      `The volume is on ${after['os-vol-host-attr:host']} with the checksum ${found}; before it was ${before}.`,
    );
  }
  screen.good(`\nThe same bytes, ${before}, on ${to}; nothing is left on ${from}.`);
}
