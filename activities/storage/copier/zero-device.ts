import { zeroInChunks } from '../zero-in-chunks.ts';
import { clearRange } from './clear-range.ts';
import type { Destination } from './destination.ts';

/**
 * Makes every byte of the destination read as zero from `from` on, on the medium, if it can do that without carrying zeros to it. Answers
 * whether it did; if not, part of it may be zeroed. `onZeroed` hears after each part up to where. Rejects when `signal` aborts.
 */
export async function zeroDevice(
  destination: Destination,
  from: number,
  signal: AbortSignal,
  onZeroed: (upTo: number) => void,
): Promise<boolean> {
  const { facts, lock } = destination;
  if (!facts.offloadsZeroes) return false;
  return zeroInChunks(
    { from, to: facts.sizeBytes },
    async (part) => {
      // Whatever the reason is, writing zeros like any other data either works or says it with an offset.
      if (!(await clearRange('zero', facts, lock, part, signal))) return false;
      await destination.flush(part.offset);
      return true;
    },
    onZeroed,
  );
}
