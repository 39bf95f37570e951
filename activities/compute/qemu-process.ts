import { readdir, readFile } from 'node:fs/promises';
import type { QemuIdentity } from '../../model/qemu-identity.ts';

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

/** Which process that is; null when it has ended. */
export async function identifyQemu(pid: number): Promise<QemuIdentity | null> {
  try {
    const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
    const startedAt = readStartTime(await readFile(`/proc/${pid}/stat`, 'latin1'));
    return startedAt === null ? null : { pid, startedAt, bootId };
  } catch {
    return null;
  }
}

/** The start time in what `/proc/<pid>/stat` holds; a program's name in it may hold blanks and brackets. */
export function readStartTime(stat: string): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[19]);
  return fields[19] === undefined || !Number.isInteger(ticks) ? null : ticks;
}

export function sameQemu(a: QemuIdentity | null, b: QemuIdentity | null): boolean {
  return a !== null && b !== null && a.pid === b.pid && a.startedAt === b.startedAt && a.bootId === b.bootId;
}
