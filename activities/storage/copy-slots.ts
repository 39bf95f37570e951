/** Bounds how many transfers of one node move bytes at once; the others wait their turn, first come first served. */
export interface CopySlots {
  /** Runs `work` when a slot is free. Aborted while it waits: rejects with the signal's reason, and takes no slot. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function copySlots(count: number): CopySlots {
  let free = count;
  const waiting: (() => void)[] = [];

  const take = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      if (free > 0) {
        free -= 1;
        return resolve();
      }
      const turn = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(signal.reason);
      };
      waiting.push(turn);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  const give = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return {
    async run(signal, work) {
      await take(signal);
      try {
        return await work();
      } finally {
        give();
      }
    },
  };
}
