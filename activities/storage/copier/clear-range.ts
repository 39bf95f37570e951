import type { DeviceFacts } from './block-device.ts';
import type { DeviceLock } from './device-lock.ts';

/**
 * Has a tool make a part of a device read as zeros, without zeros being carried to it. `unmap` gives its room back as well, and may be asked
 * only where it reads as zeros already: what a device shows where it was told to discard is its own affair, but that much all keep to.
 * False: the tool could not, or not all of it. Rejects when `signal` aborts.
 */
export async function clearRange(
  how: 'zero' | 'unmap',
  { kind, path }: DeviceFacts,
  lock: DeviceLock,
  { offset, length }: { offset: number; length: number },
  signal: AbortSignal,
): Promise<boolean> {
  // Most copies need no tool: their processes start faster without this.
  const { execa } = await import('execa');
  const where = ['--offset', String(offset), '--length', String(length)];
  // --force, as otherwise blkdiscard asks for the exclusive claim that the copier itself may hold.
  const discard = [...(how === 'zero' ? ['--zeroout'] : []), '--force', ...where, '--', path];
  const [tool, args] =
    kind === 'block' ? ['blkdiscard', discard] : ['fallocate', ['--punch-hole', ...where, '--', path]];
  const { exitCode } = await execa(tool, args, {
    // The lock, so that nobody writes before this tool has ended too; stderr, so that the worker does not take the copier
    // for ended before. (The types know the descriptors 3 to 9 only.)
    stdio: ['ignore', 'ignore', 'pipe', lock.fd as 3, 2 as 3],
    env: { LC_ALL: 'C' },
    reject: false,
    cancelSignal: signal,
    killSignal: 'SIGKILL',
  });
  signal.throwIfAborted();
  return exitCode === 0;
}
