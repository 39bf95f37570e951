import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../system-errors.ts';

interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * Whether any process of this machine that this user may look into has the file open, or any process at all holds a lock
 * on it, as QEMU does on its images. It is a look, not a lock: the caller keeps others from opening it.
 */
export async function isOpen(file: FileIdentity): Promise<boolean> {
  if (await isLocked(file)) return true;
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  // Not all at once: each look keeps a thread of Node's few.
  for (const pid of processes) {
    if (await hasOpen(join('/proc', pid, 'fd'), file)) return true;
  }
  return false;
}

async function hasOpen(folder: string, { dev, ino }: FileIdentity): Promise<boolean> {
  const descriptors = await readdir(folder).catch(goneOrForbidden);
  if (!descriptors) return false;
  const targets = await Promise.all(
    descriptors.map((fd) => stat(join(folder, fd), { bigint: true }).catch(goneOrForbidden)),
  );
  return targets.some((target) => target?.ino === ino && target.dev === dev);
}

/** Locks of processes that do not let this user look at what they have open. */
async function isLocked({ dev, ino }: FileIdentity): Promise<boolean> {
  const hex = (n: bigint) => n.toString(16).padStart(2, '0');
  // The kernel's dev_t as stat gives it: minor in bits 0-7 and 20-43, major in 8-19 and 44-63.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  const identity = ` ${hex(major)}:${hex(minor)}:${ino} `;
  const locks = await readFile('/proc/locks', 'utf8').catch(goneOrForbidden);
  return locks?.includes(identity) ?? false;
}

/** Processes and descriptors come and go while they are looked at, and some are other users'. */
function goneOrForbidden(error: unknown): null {
  if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'ENXIO'].includes(systemCode(error) ?? '')) return null;
  throw error;
}
