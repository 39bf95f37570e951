import type { Destination } from './destination.ts';

/** One call's worth: short enough that a stop need not wait for it, long enough that process starts do not count. */
const chunkBytes = 1024 ** 3;

/**
 * Makes every byte of the destination read as zero, if it can do that without carrying zeros to it. Answers whether it did;
 * if not, part of it may be zeroed. Rejects when `signal` aborts.
 */
export async function zeroDevice({ facts, lock }: Destination, signal: AbortSignal): Promise<boolean> {
  if (!facts.offloadsZeroes) return false;
  // Most copies need no tool: their processes start faster without this.
  const { execa } = await import('execa');
  for (let offset = 0; offset < facts.sizeBytes; offset += chunkBytes) {
    const length = Math.min(chunkBytes, facts.sizeBytes - offset);
    const [tool, ...args] = zeroCommand(facts.kind, facts.path, offset, length);
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
    // Whatever the reason is, writing zeros like any other data either works or says it with an offset.
    if (exitCode !== 0) return false;
  }
  return true;
}

function zeroCommand(kind: 'block' | 'file', path: string, offset: number, length: number): [string, ...string[]] {
  const where = ['--offset', String(offset), '--length', String(length)];
  // --force, as otherwise blkdiscard asks for the exclusive claim that the copier itself holds.
  return kind === 'block'
    ? ['blkdiscard', '--zeroout', '--force', ...where, '--', path]
    : ['fallocate', '--punch-hole', ...where, '--', path];
}
