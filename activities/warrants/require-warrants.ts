import { AsyncLocalStorage } from 'node:async_hooks';
import type * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import type { Objection } from '../../model/warrants.ts';

type InputOf<A> = A extends (input: infer I) => Promise<unknown> ? I : never;
type OutputOf<A> = A extends (input: never) => Promise<infer O> ? O : never;

/** How the activity that is under way asks once more. */
const askingAgain = new AsyncLocalStorage<() => Promise<void>>();

/**
 * Asks the registry once more whether it wants the activity that is under way: to be called right before a change of what looks the same
 * afterwards as before, where a step that was suspended can come late. `Fenced` when it does not any more.
 */
export async function stillWanted(): Promise<void> {
  await askingAgain.getStore()?.();
}

/** `reads`: changes nothing. Else the registry is asked before it, and may be told after it. */
type Warrant<A> =
  | 'reads'
  | {
      readonly objection: (input: InputOf<A>) => Promise<Objection>;
      readonly done?: (input: InputOf<A>, output: OutputOf<A>) => Promise<void>;
    };

/** One an activity, none left out. */
export type Warrants<A> = { readonly [N in keyof A]: Warrant<A[N]> };

interface AnyWarrant {
  readonly objection: (input: unknown) => Promise<Objection>;
  readonly done?: (input: unknown, output: unknown) => Promise<void>;
}

/**
 * The same activities, each of which is done only if the registry says that it is wanted now: an order alone, whoever gave it, is not
 * believed. See docs/decisions/018-an-order-needs-a-warrant.md. Not wanted: `Forbidden`, and nothing is done.
 */
export function requireWarrants<A extends object>(
  inputs: { readonly [N in keyof A]: z.ZodType },
  warrants: Warrants<A>,
  activities: A,
): A {
  const guarded = Object.entries(activities).map(([name, activity]) => {
    const warrant = warrants[name as keyof A] as 'reads' | AnyWarrant;
    if (warrant === 'reads') return [name, activity];
    const schema = inputs[name as keyof A];
    const run = async (input: unknown) => {
      const parsed = schema.safeParse(input ?? null);
      // What it does not take it refuses itself.
      if (!parsed.success) return activity(input);
      const why = await warrant.objection(parsed.data);
      if (why !== null)
        throw new FerryError('Forbidden', `${name} is not done: ${why}.`, { step: name, because: 'not-wanted' });
      const askAgain = async () => {
        const now = await warrant.objection(parsed.data);
        if (now !== null) throw new FerryError('Fenced', `${name} comes too late: ${now}.`, { step: name });
      };
      const output = await askingAgain.run(askAgain, () => activity(parsed.data));
      await warrant.done?.(parsed.data, output);
      return output;
    };
    return [name, run];
  });
  return Object.fromEntries(guarded) as A;
}
