import { setTimeout as sleep } from 'node:timers/promises';
import type { Ferry } from '../client/open-ferry.ts';

/** Looks now and then what the volume's migration status is; `end` tells the different ones, in order. */
export function glanceAt(ferry: Ferry, id: string): { end(): Promise<string[]> } {
  const seen: string[] = [];
  const over = new AbortController();
  const look = async () => {
    while (!over.signal.aborted) {
      const { migrationStatus } = (await ferry.findVolume(id)).volume;
      if (migrationStatus !== null && migrationStatus !== seen.at(-1)) seen.push(migrationStatus);
      await sleep(50);
    }
  };
  const looking = look();
  // Heard of at the end, not as an unhandled rejection before.
  looking.catch(() => {});
  return {
    async end() {
      over.abort();
      await looking;
      return seen;
    },
  };
}
