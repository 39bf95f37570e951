import type { Ferry } from '../client/open-ferry.ts';
import { fillImage, readRecords } from '../testbed/guest/records.ts';
import type { Devices } from './devices.ts';
import type { FerryCommand } from './ferry.ts';
import { glanceAt } from './glance.ts';
import type { DemoHypervisor } from './hypervisor.ts';
import { screen } from './screen.ts';
import type { ShownVolume } from './story.ts';

const from = 'server1@lvmstorage-1';
const to = 'server2@lvmstorage-2';
const sizeGib = 2;
/** Known content; the guest writes its records over the first of it. */
const filledBytes = 256 * 1024 ** 2;
const blockBytes = 4096;

/** The same story with the volume in use by a running guest. Throws if anything is not as it must be in the end. */
export async function tellAttachedStory(
  ferry: FerryCommand,
  library: Ferry,
  devices: Devices & { path(backEnd: string, device: string): string },
  { name, instance, guest }: DemoHypervisor,
): Promise<void> {
  screen.part('1. The available back ends');
  await ferry.show('host', 'list');

  screen.part(`2. A volume of ${sizeGib} GiB on the first, with 256 MiB of known data`);
  const create = ['create', '--size', String(sizeGib), '--name', 'test', '--description', 'test', '--host', from];
  screen.command('$', ['ferry', ...create]);
  const { id } = await ferry.ask<ShownVolume>(...create);
  await fillImage(devices.path(from, `volume-${id}`), filledBytes);

  screen.part(`3. It is attached to the running guest ${instance} on the hypervisor ${name}`);
  const attach = ['attach', id, instance, name];
  screen.command('$', ['ferry', ...attach]);
  const { device } = await ferry.ask<{ device: string }>(...attach);
  const before = await guest.progress(device, 20);
  screen.note(
    `The guest has it as /dev/${device}. All the time from now on it writes numbered, checksummed records and flushes each: ${before} so far.`,
  );
  await ferry.show('show', id);
  await devices.list(from);
  await devices.list(to);

  screen.part('4. Migrate it under the guest: mirror, turn the guest to the destination, switch, clean up (10-60 s)');
  const glance = glanceAt(library, id);
  await ferry.show('migrate', id, to);
  screen.note(`Meanwhile its migstat was ${(await glance.end()).join(', then ')}.`);

  screen.part('5. The volume afterwards: the same id, still in use, on the second back end');
  const acknowledged = await guest.progress(device, 20);
  await ferry.show('show', id);
  const after = await ferry.ask<ShownVolume>('show', id);
  await devices.list(from);
  await devices.list(to);
  const { errors, complaints, longestStallMs } = await guest.disk(device);
  screen.note(
    `The guest wrote on: ${acknowledged} records, ${errors} errors, ${complaints.length} complaints of its kernel; its longest write took ${Math.round(longestStallMs)} ms.`,
  );

  screen.part('6. It is detached, and read record by record');
  await ferry.show('detach', id);
  await guest.gone(device);
  const found = await readRecords(devices.path(to, `volume-${after['os-vol-mig-status-attr:name_id'] ?? id}`));
  const lost = filledBytes / blockBytes - found.fillers - found.records;
  if (after['os-vol-host-attr:host'] !== to || errors + complaints.length + found.torn + lost > 0)
    throw new Error(
      `The volume is on ${after['os-vol-host-attr:host']}: ${JSON.stringify({ errors, lost, ...found })}`,
    );
  if (found.missing.length > 0 || found.highest < acknowledged)
    throw new Error(`Of ${acknowledged} records the last is ${found.highest}; missing: ${found.missing.join(', ')}`);
  screen.good(
    `\nAll of the ${found.highest} records that the guest wrote are on ${to}, and every other block is what it was; nothing is left on ${from}.`,
  );
}
