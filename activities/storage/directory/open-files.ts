import { readFile } from 'node:fs/promises';
import { openersOf } from '../open-descriptors.ts';
import { goneOrForbidden } from '../system-errors.ts';

interface OpenFile {
  readonly path: string;
  readonly stat: { readonly dev: bigint; readonly ino: bigint };
}

/**
 * Whether anybody has the file open: a process that this user may look into, one that the kernel counts, or one that holds a lock on it, as
 * QEMU does on its images. It is a look, not a lock: the caller keeps others from opening it.
 */
export async function isOpen({ path, stat }: OpenFile): Promise<boolean> {
  if (await isLocked(stat)) return true;
  const { descriptors, unseen } = await openersOf({ path, dev: stat.dev, ino: stat.ino });
  return unseen || descriptors.length > 0;
}

/** Locks of processes that do not let this user look at what they have open. */
export async function isLocked({ dev, ino }: OpenFile['stat']): Promise<boolean> {
  const hex = (n: bigint) => n.toString(16).padStart(2, '0');
  // The kernel's dev_t as stat gives it: minor in bits 0-7 and 20-43, major in 8-19 and 44-63.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  const identity = ` ${hex(major)}:${hex(minor)}:${ino} `;
  const locks = await readFile('/proc/locks', 'utf8').catch(goneOrForbidden);
  return locks?.includes(identity) ?? false;
}
