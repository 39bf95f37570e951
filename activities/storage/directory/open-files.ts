import { readFile } from 'node:fs/promises';
import { majorAndMinor } from '../device-users.ts';
import { openersOf, type OpenedFile } from '../open-descriptors.ts';
import { goneOrForbidden } from '../system-errors.ts';

/**
 * Whether anybody has the file open: a process that this user may look into, one that the kernel counts, or one that holds a lock on it, as
 * QEMU does on its images. It is a look, not a lock: the caller keeps others from opening it.
 */
export async function isOpen(file: OpenedFile): Promise<boolean> {
  if (await isLocked(file)) return true;
  const { descriptors, unseen } = await openersOf(file);
  return unseen || descriptors.length > 0;
}

/** Locks of processes that do not let this user look at what they have open. */
export async function isLocked({ stat: { dev, ino } }: OpenedFile): Promise<boolean> {
  const hex = (n: bigint) => n.toString(16).padStart(2, '0');
  const identity = ` ${majorAndMinor(dev).map(hex).join(':')}:${ino} `;
  const locks = await readFile('/proc/locks', 'utf8').catch(goneOrForbidden);
  return locks?.includes(identity) ?? false;
}
