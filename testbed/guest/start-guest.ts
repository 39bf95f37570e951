import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { PrivateLibvirt } from '../libvirt/start-libvirt.ts';
import { systemPath } from '../requirements.ts';
import { GuestConsole } from './guest-console.ts';
import { guestDefinition, type GuestSettings } from './guest-definition.ts';

/** Defines a test guest without disks in a private libvirt, starts it, and waits until its system is up. */
export async function startGuest(
  { uri, folder }: PrivateLibvirt,
  settings: Omit<GuestSettings, 'consolePath'>,
): Promise<GuestConsole> {
  const consolePath = join(folder, `${settings.name}.console`);
  const definition = join(folder, `${settings.name}.xml`);
  await writeFile(definition, guestDefinition({ ...settings, consolePath }));
  const virsh = (...args: string[]) =>
    execa('virsh', ['--quiet', '--connect', uri, ...args], { env: { LC_ALL: 'C', PATH: systemPath }, stdin: 'ignore' });
  await virsh('define', '--file', definition);
  await virsh('start', '--domain', settings.name);
  const guest = new GuestConsole(consolePath);
  await guest.up();
  return guest;
}
