import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { check, comes, must, said } from '../../setup/story-checks.ts';
import { buildGuest } from '../../testbed/guest/build-guest.ts';
import { GuestConsole } from '../../testbed/guest/guest-console.ts';
import { guestDefinition } from '../../testbed/guest/guest-definition.ts';
import { fillImage, readRecords } from '../../testbed/guest/records.ts';
import { sql } from './servers.ts';
import { migratesSlowly } from './slow-move.ts';
import type { Site } from './site.ts';
import { type Node, placeOf } from './volumes.ts';
import { killed, mainPid } from './units.ts';

const domain = 'vm-1';
const consolePath = '/var/log/libvirt/qemu/vm-1.console';
/** Minutes for its whole size, and more than its guest writes. */
export const slowMirror = '2MiB/s';

/** All of its volume has known content, in which its records are: zeros would be mirrored in no time. */
const filledBytes = 256 * 2 ** 20;

/** A guest on the hypervisor, with a volume to which it writes all the time. */
export interface AttachedGuest {
  readonly id: string;
  readonly device: string;
  readonly console: GuestConsole;
}

/** Starts a guest and gives it a volume of the first node. `folder`: for its kernel, on this machine. */
export async function startGuest(site: Site, folder: string): Promise<AttachedGuest> {
  said('a guest with a volume');
  const { hv1, server1 } = site;
  const image = await buildGuest(join(folder, 'guest'));
  const there = { kernel: '/var/lib/libvirt/images/kernel', initramfs: '/var/lib/libvirt/images/initramfs' };
  for (const part of ['kernel', 'initramfs'] as const) await cp(image[part], hv1.file(there[part]));
  await hv1.write('/root/vm-1.xml', guestDefinition({ name: domain, image: there, consolePath }));
  await must(hv1.run(['virsh', '--quiet', 'define', '/root/vm-1.xml']));
  await must(hv1.run(['virsh', '--quiet', 'start', domain]));
  const console = new GuestConsole(hv1.file(consolePath));
  await console.up();

  const { id } = await site.asked<{ id: string }>(
    'create',
    '--size',
    '256MiB',
    '--name',
    'disk',
    '--host',
    'server1@files',
  );
  await fillImage(server1.file((await placeOf(site, id)).device), filledBytes);
  const attached = await site.ferry('attach', id, domain, 'hv1', '--json');
  check('the volume is attached', attached.exitCode === 0, attached.output);
  const { device } = JSON.parse(attached.stdout) as { device: string };
  await console.progress(device, 5);
  return { id, device, console };
}

/** An export goes on while its worker is stopped, and after it was killed. */
export async function exportOutlivesWorker(site: Site, guest: AttachedGuest): Promise<void> {
  said('an export outlives its worker');
  const { node } = await placeOf(site, guest.id);
  const machine = site[node];
  const servers = async () => (await machine.run(['pgrep', '-x', 'qemu-nbd'])).stdout;
  const before = await servers();
  const user = (await machine.run(['ps', '-o', 'args=', '-C', 'qemu-nbd'])).stdout;
  check('the export has TLS', user.includes('tls-creds'), user);
  await must(machine.run(['systemctl', 'stop', 'ferry-storage']));
  await guest.console.progress(guest.device, 20);
  check('its worker is stopped: the same server serves on', before !== '' && (await servers()) === before);
  await must(machine.run(['systemctl', 'start', 'ferry-storage']));
  await killed(machine, 'ferry-storage');
  await guest.console.progress(guest.device, 20);
  check('its worker was killed: the same server serves on', (await servers()) === before);
}

/**
 * By the words of two hypervisors the guest is on its way: the storage node's unit may let the second one in beside it, and closes again. The
 * migration itself, with a second hypervisor, is a test of `test/end-to-end/moving-guest.test.ts`.
 */
export async function letsAnotherIn(site: Site, guest: AttachedGuest): Promise<void> {
  said('a guest is on its way to another hypervisor');
  const machine = site[(await placeOf(site, guest.id)).node];
  const servers = async () => (await machine.run(['pgrep', '-x', 'qemu-nbd'])).stdout.trim().split('\n');
  const before = await servers();
  const soon = "now() + interval '10 minutes'";
  const words = `INSERT INTO guest_moves (attachment_id, to_host, arriving_at, leaving_at) SELECT id, 'hv2', ${soon}, ${soon} FROM attachments`;
  await sql(site.control, [words], 'ferry');
  const isIn = await comes(async () => (await servers()).length === before.length + 1);
  check(
    'another hypervisor is let in',
    isIn,
    (await machine.run(['journalctl', '-u', 'ferry-storage', '-n', '20'])).stdout,
  );
  await sql(site.control, ['DELETE FROM guest_moves'], 'ferry');
  const isOut = await comes(async () => (await servers()).join() === before.join());
  check('then one client alone again', isOut, (await servers()).join());
  await guest.console.progress(guest.device, 5);
}

/** The storage node of the guest's volume loses power; all comes back by itself, and the guest goes on. */
export async function nodeLosesPower(site: Site, guest: AttachedGuest): Promise<void> {
  said('a storage node loses power');
  const machine = site[(await placeOf(site, guest.id)).node];
  await machine.losePower();
  const up = async () => (await machine.run(['systemctl', 'is-active', 'ferry-storage'])).stdout === 'active';
  check(`${machine.name}: its worker comes up with it`, await comes(up), machine.name);
  await guest.console.progress(guest.device, 20);
  await isWhole(site, guest);
}

/** The guest's volume moves while its hypervisor's and its destination's workers are killed. */
export async function guestMoves(site: Site, guest: AttachedGuest, to: Node): Promise<void> {
  said(`the guest's volume moves to ${to}`);
  const qemu = await must(site.hv1.run(['pgrep', '-f', 'qemu-system']));
  await migratesSlowly(site, guest.id, {
    to,
    what: 'an attached volume',
    bandwidth: slowMirror,
    async meanwhile() {
      await killed(site.hv1, 'ferry-compute');
      await killed(site.control, 'ferry-control');
      await killed(site[to], 'ferry-storage');
    },
  });
  check('its QEMU is the same', (await must(site.hv1.run(['pgrep', '-f', 'qemu-system']))) === qemu);
  await isWhole(site, guest);
}

/** Every record that the guest was told to be on its disk is there. */
export async function isWhole(site: Site, { id, device, console }: AttachedGuest): Promise<void> {
  const acked = await console.progress(device, 10);
  const place = await placeOf(site, id);
  await must(site.hv1.run(['virsh', '--quiet', 'suspend', domain]));
  const found = await readRecords(site[place.node].file(place.device));
  await must(site.hv1.run(['virsh', '--quiet', 'resume', domain]));
  const whole = found.torn === 0 && found.missing.length === 0 && found.highest >= acked;
  const full = found.fillers + found.records === filledBytes / 4096;
  const { errors, complaints } = await console.disk(device);
  const quiet = errors === 0 && complaints.length === 0;
  check(`every record is on ${place.node}, and the guest saw no error`, whole && full && quiet, JSON.stringify(found));
}

/** The volume is taken from the guest, and its export ends. */
export async function endGuest(site: Site, guest: AttachedGuest): Promise<void> {
  const { node } = await placeOf(site, guest.id);
  const detached = await site.ferry('detach', guest.id);
  check('the volume is detached', detached.exitCode === 0, detached.output);
  await guest.console.gone(guest.device);
  const ended = async () => (await site[node].run(['pgrep', '-x', 'qemu-nbd'])).stdout === '';
  check('and its export has ended', await comes(ended));
  await must(site.hv1.run(['virsh', '--quiet', 'destroy', domain]));
  await must(site.hv1.run(['virsh', '--quiet', 'undefine', domain]));
  check('its worker still runs', (await mainPid(site.hv1, 'ferry-compute')) !== 0);
}
