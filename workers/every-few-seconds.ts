import { heartbeatEveryMs } from '../model/back-end.ts';

/**
 * Does `work` before it returns, and again `everyMs` after each time until it is stopped. A round that fails is told to `onError`, and is
 * no obstacle to the next one.
 */
export async function everyFewSeconds(
  work: () => Promise<void>,
  onError: (error: Error) => void,
  everyMs = heartbeatEveryMs,
): Promise<{ stop: () => void }> {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const round = async () => {
    try {
      await work();
    } catch (error) {
      onError(error as Error);
    }
    if (!stopped) timer = setTimeout(() => void round(), everyMs);
  };
  await round();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
