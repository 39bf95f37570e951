/** The code of a system call's error (`ENOENT`, ...); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** For `catch`: null when what was asked for is not there, every other error goes on. */
export function nullIfMissing(error: unknown): null {
  if (systemCode(error) === 'ENOENT') return null;
  throw error;
}

/** For `catch` beside /proc and /sys: processes, descriptors and devices come and go while they are looked at, and some are other users'. */
export function goneOrForbidden(error: unknown): null {
  const harmless = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'ENXIO', 'EINVAL'];
  if (harmless.includes(systemCode(error) ?? '')) return null;
  throw error;
}
