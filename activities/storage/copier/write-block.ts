import { cellBytes } from './geometry.ts';
import { isZero } from './digest-chain.ts';
import { runsOf, type Run } from './zero-map.ts';

/** What of a block must be written where the destination is known to read zeros: the cells that are not all zeros. */
export function nonZeroRuns(block: Uint8Array): readonly Run[] {
  return runsOf(block.length, (at) => !isZero(block.subarray(at, Math.min(at + cellBytes, block.length))));
}

/** Overwrites with zeros what the runs of data leave out of a block: the buffer still holds an earlier block there. */
export function fillGaps(block: Uint8Array, runs: readonly Run[]): void {
  let at = 0;
  for (const [from, to] of runs) {
    block.fill(0, at, from);
    at = to;
  }
  block.fill(0, at);
}
