import { badRequest, invalidInput } from './fault.ts';

const longest = 255;

/** A name or description as it is kept: without spaces at its ends; null for none. Too long: refused in Cinder's words. */
export function labelOf(field: string, given: string | null | undefined): string | null {
  if (given === null || given === undefined) return null;
  const trimmed = given.trim();
  if (trimmed.length > longest) throw invalidInput(`${field} has ${trimmed.length} characters, more than ${longest}.`);
  if (/[\p{Cc}\p{Cs}]/u.test(trimmed))
    throw badRequest(`Invalid input for field/attribute ${field}. It holds control characters.`);
  return trimmed;
}
