import type { Ferry } from '../client/open-ferry.ts';
import type { directoryDevices } from './devices.ts';
import type { FerryCommand } from './ferry.ts';
import { glanceAt } from './glance.ts';
import { giveToGuest, takeFromGuest } from './guest-volume.ts';
import type { DemoHypervisor } from './hypervisor.ts';
import { screen } from './screen.ts';

const from = 'server1@lvmstorage-1';
const to = 'server2@lvmstorage-2';
const sizeGib = 2;

/** The same story with the volume in use by a running guest. Throws if anything is not as it must be in the end. */
export async function tellAttachedStory(
  ferry: FerryCommand,
  library: Ferry,
  devices: ReturnType<typeof directoryDevices>,
  hypervisor: DemoHypervisor,
): Promise<void> {
  const { name, instance, guest } = hypervisor;
  screen.part('1. The available back ends');
  await ferry.show('host', 'list');

  screen.part(
    `2. A volume of ${sizeGib} GiB on the first, with 256 MiB of known data; the running guest ${instance} on ${name} gets it`,
  );
  const create = ['--size', String(sizeGib), '--name', 'test', '--description', 'test', '--host', from];
  const volume = await giveToGuest(ferry, devices, hypervisor, create);
  const { id, device } = volume;
  const before = await guest.progress(device, 20);
  screen.note(
    `The guest has it as /dev/${device}. All the time from now on it writes numbered, checksummed records and flushes each: ${before} so far.`,
  );
  await ferry.show('show', id);
  await devices.list(from);
  await devices.list(to);

  screen.part('3. Migrate it under the guest: mirror, turn the guest to the destination, switch, clean up (10-60 s)');
  const glance = glanceAt(library, id);
  await ferry.show('migrate', id, to);
  screen.note(`Meanwhile its migstat was ${(await glance.end()).join(', then ')}.`);

  screen.part('4. The volume afterwards: the same id, still in use, on the second back end');
  await guest.progress(device, 20);
  await ferry.show('show', id);
  await devices.list(from);
  await devices.list(to);

  screen.part('5. It is detached, and read record by record');
  const { records, host } = await takeFromGuest(ferry, devices, hypervisor, volume);
  if (host !== to) throw new Error(`The volume is on ${host}.`);
  screen.good(
    `\nAll of the ${records} records that the guest wrote are on ${to}, and every other block is what it was; nothing is left on ${from}.`,
  );
}
