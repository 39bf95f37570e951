import * as z from 'zod';
import { parseInput } from '../parse-input.ts';

/** A commander parser for an argument or option; a wrong value is `InvalidInput` that names it. */
export function checked<S extends z.ZodType>(name: string, schema: S): (text: string) => z.output<S> {
  const named = z.object({ [name]: schema });
  return (text) => parseInput(named, { [name]: text })[name] as z.output<S>;
}

const pair = z.string().regex(/^[^=]+=/, 'is not key=value');

/** A commander parser for `key=value`, given any number of times. */
export function pairs(name: string): (text: string, before: Record<string, string> | undefined) => Record<string, string> {
  const parse = checked(name, pair);
  return (text, before = {}) => {
    const given = parse(text);
    const at = given.indexOf('=');
    return { ...before, [given.slice(0, at)]: given.slice(at + 1) };
  };
}
