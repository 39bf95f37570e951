import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';

/** A commander parser for an argument or option; a wrong value is `InvalidInput` that names it and says what was given. */
export function checked<S extends z.ZodType>(name: string, schema: S): (text: string) => z.output<S> {
  return (text) => {
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    const why = parsed.error.issues.map((issue) => issue.message).join('; ');
    throw new FerryError('InvalidInput', `${name}: ${JSON.stringify(text)} ${why}`, { fields: [name] });
  };
}

const pair = z.string().regex(/^[^=]+=/, 'is not key=value');

/** A commander parser for `key=value`, given any number of times. */
export function pairs(
  name: string,
): (text: string, before: Record<string, string> | undefined) => Record<string, string> {
  const parse = checked(name, pair);
  return (text, before = {}) => {
    const given = parse(text);
    const at = given.indexOf('=');
    return { ...before, [given.slice(0, at)]: given.slice(at + 1) };
  };
}
