import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';

type Activity = (input: never) => Promise<unknown>;
type InputOf<A> = A extends (input: infer I) => Promise<unknown> ? I : never;

/** Fields of a schema, so that a field which an activity reads and its schema does not know is an error of types. */
type Fields<I> = { readonly [P in keyof I]-?: z.ZodType<I[P] | undefined> };

/** A schema an activity, none left out, and none of an activity that there is not. */
export type Inputs<A> = {
  readonly [N in keyof A]: [InputOf<A[N]>] extends [object]
    ? z.ZodType<object> & { readonly shape: Fields<InputOf<A[N]>> }
    : z.ZodType;
};

/**
 * The same activities, each of which looks at its input first: whoever may start a workflow may send it anything. What its schema does not
 * take is refused with `InvalidInput`, which is not tried again, before anything is done. Fields that a schema does not know pass: a newer
 * workflow may send them to an older worker.
 */
export function checkInputs<A extends object>(inputs: Inputs<NoInfer<A>>, activities: A): A {
  const schemas: Record<string, z.ZodType> = inputs;
  const checked = Object.entries<Activity>(activities as Record<string, Activity>).map(([name, activity]) => {
    const schema = schemas[name]!;
    const run = async (input: unknown) => {
      const parsed = schema.safeParse(input ?? null);
      if (parsed.success) return activity(parsed.data as never);
      throw new FerryError('InvalidInput', `${name}: ${z.prettifyError(parsed.error).slice(0, 1000)}`, { step: name });
    };
    return [name, run];
  });
  return Object.fromEntries(checked) as A;
}
