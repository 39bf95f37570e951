import type { directoryDevices } from './devices.ts';
import type { FerryCommand } from './ferry.ts';
import { giveToGuest, takeFromGuest } from './guest-volume.ts';
import type { DemoHypervisor } from './hypervisor.ts';
import { screen } from './screen.ts';
import type { ShownVolume } from './story.ts';

const node = 'server1';
const from = 'server1@lvmstorage-1';
const sizes = [2, 1, 1];
const randomMib = 128;

/** A node is emptied of volumes, one of them in use by a running guest, and decommissioned. Throws if a byte is not what it was. */
export async function tellEvacuationStory(
  ferry: FerryCommand,
  devices: ReturnType<typeof directoryDevices>,
  hypervisor: DemoHypervisor,
): Promise<void> {
  screen.part(`1. ${sizes.length} volumes with random data on ${from}, and one that a running guest writes to`);
  const before = new Map<string, string>();
  for (const size of sizes) {
    const create = ['create', '--size', String(size), '--host', from];
    screen.command('$', ['ferry', ...create]);
    const { id } = await ferry.ask<ShownVolume>(...create);
    await devices.fill(from, `volume-${id}`, randomMib);
    before.set(id, await devices.sha256(from, `volume-${id}`));
  }
  const inUse = await giveToGuest(ferry, devices, hypervisor, ['--size', '1', '--host', from]);
  await hypervisor.guest.progress(inUse.device, 20);
  await ferry.show('host', 'list', '--long');

  screen.part(`2. What an evacuation of ${node} would do`);
  await ferry.show('host', 'evacuate', node, '--dry-run');

  screen.part(`3. ${node} is evacuated while the guest writes on (10-60 s)`);
  await ferry.show('host', 'evacuate', node, '--reason', 'end of life');
  await ferry.show('evacuation', 'show', node);

  screen.part('4. It is decommissioned: nothing is left on it, in the registry and on its devices');
  await ferry.show('host', 'decommission', node);
  await ferry.show('host', 'list', '--long');
  await devices.list(from);

  screen.part('5. Every volume is read where it is now');
  for (const [id, checksum] of before) {
    const after = await ferry.ask<ShownVolume>('show', id);
    const host = after['os-vol-host-attr:host'];
    const found = await devices.sha256(host, `volume-${after['os-vol-mig-status-attr:name_id'] ?? id}`);
    if (host === from || found !== checksum)
      throw new Error(`Volume ${id} is on ${host} with the checksum ${found}; before it was ${checksum}.`);
  }
  const { records, host } = await takeFromGuest(ferry, devices, hypervisor, inUse);
  if (host === from) throw new Error(`Volume ${inUse.id} is on ${host} still.`);
  screen.good(
    `\n${node} is empty. The same bytes in all ${before.size} volumes; all of the ${records} records that the guest wrote are on ${host}.`,
  );
}
