import { readdir, readFile } from 'node:fs/promises';

/** A guest to look for; the uuid is not known when libvirt has no definition left. */
export interface GuestName {
  readonly name: string;
  readonly uuid: string | null;
}

/**
 * The process of a guest's QEMU, found without libvirt: by the guest's uuid, or its name, in the process's arguments. Null when
 * there is none.
 */
export async function findQemuProcess(guest: GuestName): Promise<number | null> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const argv = await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '');
    if (argv && isQemuOf(argv.split('\0'), guest)) return Number(entry);
  }
  return null;
}

/** Whether a process with these arguments is that guest's QEMU, as libvirt starts it. */
export function isQemuOf(argv: readonly string[], guest: GuestName): boolean {
  const valueOf = (option: string) => argv[argv.indexOf(option) + 1] ?? '';
  if (!argv.includes('-uuid') || !argv.includes('-name')) return false;
  if (guest.uuid !== null) return valueOf('-uuid') === guest.uuid;
  return valueOf('-name').split(',')[0] === `guest=${guest.name}`;
}
