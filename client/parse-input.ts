import type * as z from 'zod';
import { FerryError } from '../model/errors.ts';

/** Input from outside as the model has it, or `InvalidInput` that names each wrong field and what was given. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new FerryError('InvalidInput', parsed.error.issues.map(describe).join('\n'), {
    fields: parsed.error.issues.map((issue) => issue.path.join('.')),
  });
}

function describe(issue: z.core.$ZodIssue): string {
  const given =
    typeof issue.input === 'string' || typeof issue.input === 'number' ? ` ${JSON.stringify(issue.input)}` : '';
  return `${issue.path.join('.') || 'input'}:${given} ${issue.message}`;
}
