import { CancellationScope } from '@temporalio/workflow';

type Works = readonly (() => Promise<unknown>)[];
type Results<W extends Works> = { -readonly [K in keyof W]: Awaited<ReturnType<W[K]>> };

/** Works at once. When one fails the others are cancelled, and have ended when it rejects. */
export async function allOrNone<W extends Works>(...works: W): Promise<Results<W>> {
  const scope = new CancellationScope();
  const begun = works.map((work) => scope.run(work));
  try {
    return (await Promise.all(begun)) as Results<W>;
  } catch (error) {
    scope.cancel();
    await Promise.allSettled(begun);
    throw error;
  }
}
