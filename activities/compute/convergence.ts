/** Tells whether a mirror comes nearer to its end while its guest goes on writing. */
export interface Convergence {
  /**
   * Takes what is left of the mirror, in bytes, and answers whether it has not become less for a whole window. A window must be longer
   * than QEMU may rest between two bursts under a cap.
   */
  outpaced(leftBytes: number, atMs: number, windowMs: number): boolean;
}

/** The least of each window counts, so that neither a burst nor the rest after it is taken for the way that things go. */
export function convergence(): Convergence {
  let startedAt: number | null = null;
  let least = Infinity;
  let leastBefore = Infinity;
  let isOutpaced = false;
  return {
    outpaced(leftBytes, atMs, windowMs) {
      startedAt ??= atMs;
      if (atMs - startedAt >= windowMs) {
        isOutpaced = least >= leastBefore;
        leastBefore = least;
        least = leftBytes;
        startedAt = atMs;
      }
      least = Math.min(least, leftBytes);
      return isOutpaced;
    },
  };
}
