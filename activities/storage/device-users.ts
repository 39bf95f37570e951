import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { copierMark } from './copier/device-lock.ts';
import { readerName } from './exports/server-command.ts';
import { majorAndMinor, type OpenDescriptor, type Opened, openersOf } from './open-descriptors.ts';
import { goneOrForbidden } from './system-errors.ts';

/** Somebody who has a device open, or something that is on top of it. */
export interface DeviceUser {
  /** For people: `process 812 (dd)`. */
  readonly who: string;
  /** Null: the kernel itself, or somebody who cannot be seen from here. */
  readonly pid: number | null;
  /** Has it open for reading only. */
  readonly isReader: boolean;
  /** One of Ferry's own servers or copiers. */
  readonly isOwn: boolean;
}

/**
 * Who has it open, or is on top of it, as far as this user may see; each process once for every descriptor. It is a look, not a lock:
 * who must know that nobody writes keeps others from it first.
 */
export async function usersOf(opened: Opened): Promise<DeviceUser[]> {
  const { descriptors, unseen } = await openersOf(opened);
  const users = [
    ...(await Promise.all(descriptors.map(userBehind))),
    ...(await loopDevices(opened)),
    ...('rdev' in opened ? await onTop(opened.rdev) : []),
  ];
  return users.length === 0 && unseen ? [kernel('somebody who has it open and cannot be seen from here')] : users;
}

/** The processes behind a list of users, once each, and everything else; without Ferry's own readers. */
export function foreignUsers(users: readonly DeviceUser[]): string[] {
  return [...new Set(users.filter(({ isOwn, isReader }) => !(isOwn && isReader)).map(({ who }) => who))];
}

async function userBehind({ pid, fd }: OpenDescriptor): Promise<DeviceUser> {
  const argv = ((await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(goneOrForbidden)) ?? '').split('\0');
  const name = ((await readFile(join('/proc', pid, 'comm'), 'utf8').catch(goneOrForbidden)) ?? '').trim();
  const isOwn = name === 'qemu-nbd' || name === readerName || argv.includes(copierMark);
  return {
    who: `process ${pid} (${name === '' ? 'unknown' : name})`,
    pid: Number(pid),
    isReader: await isForReading(pid, fd),
    isOwn,
  };
}

async function isForReading(pid: string, fd: string): Promise<boolean> {
  const text = await readFile(join('/proc', pid, 'fdinfo', fd), 'utf8').catch(goneOrForbidden);
  const flags = /^flags:\s*([0-7]+)/m.exec(text ?? '')?.[1];
  // The lowest two bits of the octal flags: 0 is reading only.
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) === 0;
}

/** Loop devices over it: the kernel has it open, no process. */
async function loopDevices(opened: Opened): Promise<DeviceUser[]> {
  const loops = ((await readdir('/sys/block').catch(goneOrForbidden)) ?? []).filter((name) => name.startsWith('loop'));
  const users: DeviceUser[] = [];
  for (const name of loops) {
    const file = await readFile(join('/sys/block', name, 'loop', 'backing_file'), 'utf8').catch(goneOrForbidden);
    const target = file === null ? null : await stat(file.trim(), { bigint: true }).catch(goneOrForbidden);
    if (!target) continue;
    const isIt =
      'rdev' in opened
        ? target.isBlockDevice() && target.rdev === opened.rdev
        : target.ino === opened.stat.ino && target.dev === opened.stat.dev;
    if (isIt) users.push(kernel(`loop device /dev/${name}`));
  }
  return users;
}

/** Devices and file systems that are made of it. */
async function onTop(rdev: bigint): Promise<DeviceUser[]> {
  const number = majorAndMinor(rdev).join(':');
  const folder = `/sys/dev/block/${number}/holders`;
  const holders = (await readdir(folder).catch(goneOrForbidden)) ?? [];
  const devices = await Promise.all(
    holders.map(async (name) => {
      const mapped = await readFile(join(folder, name, 'dm', 'name'), 'utf8').catch(goneOrForbidden);
      return kernel(`device ${mapped === null ? name : `${mapped.trim()} (${name})`}`);
    }),
  );
  const mounts = ((await readFile('/proc/self/mountinfo', 'utf8').catch(goneOrForbidden)) ?? '')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => kernel(`the file system that is mounted on ${fields[4]}`));
  return [...devices, ...mounts.slice(0, 1)];
}

export const kernel = (who: string): DeviceUser => ({ who, pid: null, isReader: false, isOwn: false });
