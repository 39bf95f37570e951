import { fillImage, readRecords } from '../testbed/guest/records.ts';
import type { directoryDevices } from './devices.ts';
import type { FerryCommand } from './ferry.ts';
import type { DemoHypervisor } from './hypervisor.ts';
import { screen } from './screen.ts';
import type { ShownVolume } from './story.ts';

/** Known content; the guest writes its records over the first of it. */
const filledBytes = 256 * 1024 ** 2;
const blockBytes = 4096;

/** Makes a volume with known data and gives it to the running guest, which writes to it from then on. */
export async function giveToGuest(
  ferry: FerryCommand,
  devices: ReturnType<typeof directoryDevices>,
  { name, instance }: DemoHypervisor,
  create: readonly string[],
): Promise<{ id: string; device: string }> {
  screen.command('$', ['ferry', 'create', ...create]);
  const { id, 'os-vol-host-attr:host': host } = await ferry.ask<ShownVolume>('create', ...create);
  await fillImage(devices.path(host, `volume-${id}`), filledBytes);
  const attach = ['attach', id, instance, name];
  screen.command('$', ['ferry', ...attach]);
  const { device } = await ferry.ask<{ device: string }>(...attach);
  return { id, device };
}

/** Detaches the volume and reads it record by record. Throws when anything is not what the guest wrote. Resolves with the number of records. */
export async function takeFromGuest(
  ferry: FerryCommand,
  devices: ReturnType<typeof directoryDevices>,
  { guest }: DemoHypervisor,
  { id, device }: { id: string; device: string },
): Promise<{ records: number; host: string }> {
  const acknowledged = await guest.progress(device, 20);
  const { errors, complaints, longestStallMs } = await guest.disk(device);
  screen.note(
    `The guest wrote on: ${acknowledged} records, ${errors} errors, ${complaints.length} complaints of its kernel; its longest write took ${Math.round(longestStallMs)} ms.`,
  );
  await ferry.show('detach', id);
  await guest.gone(device);
  const after = await ferry.ask<ShownVolume>('show', id);
  const host = after['os-vol-host-attr:host'];
  const found = await readRecords(devices.path(host, `volume-${after['os-vol-mig-status-attr:name_id'] ?? id}`));
  const lost = filledBytes / blockBytes - found.fillers - found.records;
  if (errors + complaints.length + found.torn + lost > 0)
    throw new Error(`The volume is on ${host}: ${JSON.stringify({ errors, lost, ...found })}`);
  if (found.missing.length > 0 || found.highest < acknowledged)
    throw new Error(`Of ${acknowledged} records the last is ${found.highest}; missing: ${found.missing.join(', ')}`);
  return { records: found.highest, host };
}
