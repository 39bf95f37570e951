import { setTimeout as sleep } from 'node:timers/promises';

/** Timers fire late; a request may be this much behind its time without the rate being lost. Milliseconds. */
const slack = 100;

/** When the next request may go, so that requests keep to a rate: the pure core of a bandwidth cap. */
export class Pacing {
  readonly #bytesPerMillisecond: number;
  #nextAt = -Infinity;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMillisecond = bytesPerSecond / 1000;
  }

  /** Books a request of `bytes` and tells when it may start, which is not before `now`. Milliseconds. */
  book(bytes: number, now: number): number {
    const start = Math.max(now - slack, this.#nextAt);
    this.#nextAt = start + bytes / this.#bytesPerMillisecond;
    return Math.max(now, start);
  }
}

/** Waits until `bytes` more may be moved. Rejects when its signal aborts. */
export type Throttle = (bytes: number) => Promise<void> | undefined;

export function createThrottle(bytesPerSecond: number | null, signal: AbortSignal): Throttle {
  if (bytesPerSecond === null) return () => undefined;
  const pacing = new Pacing(bytesPerSecond);
  return (bytes) => {
    const now = performance.now();
    const wait = pacing.book(bytes, now) - now;
    return wait < 1 ? undefined : sleep(wait, undefined, { signal });
  };
}

/** How much to ask for at once, so that a low cap is kept smoothly and not in bursts of many seconds. */
export function requestBytesFor(bytesPerSecond: number | null, most: number): number {
  const least = 64 * 1024;
  if (bytesPerSecond === null) return most;
  return Math.min(most, Math.max(least, 2 ** Math.floor(Math.log2(bytesPerSecond / 8))));
}
