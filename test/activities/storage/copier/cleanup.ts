import type { TestContext } from 'node:test';

const stacks = new WeakMap<TestContext, (() => unknown)[]>();

/** Undoes things after the test, the last one first, each whatever becomes of the others; `t.after` does neither. */
export function cleanUp(t: TestContext, undo: () => unknown): void {
  const known = stacks.get(t);
  if (known) return void known.push(undo);
  const stack = [undo];
  stacks.set(t, stack);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const undo of stack.toReversed()) await Promise.try(undo).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'The test could not be cleaned up after');
  });
}
