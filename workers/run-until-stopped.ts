/** Something with a worker's life: runs until it is told to stop. */
export interface Stoppable {
  run(): Promise<void>;
  stop(): void;
  /** For how long Temporal has refused its credentials; 0 or absent: it does not. Milliseconds. */
  refusedForMs?(): number;
  /** Why it cannot do its work now; null or absent: it can. */
  whyNotReady?(): string | null;
}

/** Runs all until one ends by itself or the process is asked to end; then lets every one finish what it must. */
export async function runUntilStopped(parts: readonly Stoppable[]): Promise<void> {
  const stop = () => {
    for (const part of parts) part.stop();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const runs = parts.map((part) => part.run().finally(stop));
  try {
    await Promise.all(runs);
  } finally {
    await Promise.allSettled(runs);
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  }
}
