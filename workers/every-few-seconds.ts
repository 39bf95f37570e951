/** What harms a guest or a tenant as long as it is not seen is looked for so often. Milliseconds. */
const lookEveryMs = 5_000;

/**
 * Does `work` before it returns, and again `everyMs` after each round's end until it is stopped. A round that fails is told to `onError`,
 * and is no obstacle to the next one.
 */
export async function everyFewSeconds(
  work: () => Promise<void>,
  onError: (error: Error) => void,
  everyMs = lookEveryMs,
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
