/** What is zeroed at a time, bytes: at first, at least, and at most. */
const first = 16 * 1024 ** 2;
const least = 4 * 1024 ** 2;
const most = 1024 ** 3;

/** A call shall take one of some seconds: long enough that process starts do not count, short enough to tell often where it is. */
export function nextChunk(bytes: number, tookMs: number): number {
  if (tookMs < 500) return Math.min(most, bytes * 4);
  if (tookMs < 2000) return Math.min(most, bytes * 2);
  return tookMs > 4000 ? Math.max(least, bytes / 2) : bytes;
}

/**
 * Calls `zero` for one part after the other, in parts as large as the device's speed lets them be (multiples of `unit`, but for the last
 * one), and tells after each how far it is. False: `zero` said that it could not.
 */
export async function zeroInChunks(
  range: { from: number; to: number; unit?: number },
  zero: (part: { offset: number; length: number }) => Promise<boolean>,
  onZeroed: (upTo: number) => void,
): Promise<boolean> {
  const { from, to, unit = 1 } = range;
  let chunk = first;
  for (let offset = from; offset < to;) {
    const length = Math.min(Math.ceil(chunk / unit) * unit, to - offset);
    const began = performance.now();
    if (!(await zero({ offset, length }))) return false;
    chunk = nextChunk(chunk, performance.now() - began);
    offset += length;
    onZeroed(offset);
  }
  return true;
}
