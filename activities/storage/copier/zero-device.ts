import { clearRange } from './clear-range.ts';
import type { Destination } from './destination.ts';

/** One call's worth: short enough that a stop need not wait for it, long enough that process starts do not count. */
const chunkBytes = 1024 ** 3;

/**
 * Makes every byte of the destination read as zero, if it can do that without carrying zeros to it. Answers whether it did;
 * if not, part of it may be zeroed. Rejects when `signal` aborts.
 */
export async function zeroDevice({ facts, lock }: Destination, signal: AbortSignal): Promise<boolean> {
  if (!facts.offloadsZeroes) return false;
  for (let offset = 0; offset < facts.sizeBytes; offset += chunkBytes) {
    const length = Math.min(chunkBytes, facts.sizeBytes - offset);
    const cleared = await clearRange('zero', facts, lock, { offset, length }, signal);
    // Whatever the reason is, writing zeros like any other data either works or says it with an offset.
    if (!cleared) return false;
  }
  return true;
}
