/** Speed over the last few seconds, from samples of a position. */
export interface SpeedMeter {
  sample(position: number, atMs: number): void;
  /** Bytes a second over the window; 0 before the second sample. */
  bytesPerSecond(): number;
}

/** Long enough to smooth flushes, short enough to show a changed cap. Milliseconds. */
const windowMs = 5_000;

export function speedMeter(position: number, atMs: number): SpeedMeter {
  const samples = [{ position, atMs }];
  return {
    sample(at, now) {
      samples.push({ position: at, atMs: now });
      while (samples.length > 2 && now - samples[0]!.atMs > windowMs) samples.shift();
    },
    bytesPerSecond() {
      const first = samples[0]!;
      const last = samples.at(-1)!;
      const ms = last.atMs - first.atMs;
      return ms > 0 ? Math.round(((last.position - first.position) * 1000) / ms) : 0;
    },
  };
}
