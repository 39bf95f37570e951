import type * as z from 'zod';
import { badRequest, type Fault } from './fault.ts';

/** What is wrong with a body, in the words of Cinder's validation. `within`: the keys under which it was sent. */
export function inputFault(error: z.ZodError, body: unknown, within: readonly string[] = []): Fault {
  const [issue] = error.issues;
  if (!issue) return badRequest('Malformed request body');
  if (issue.code === 'custom' && issue.params?.['fault']) return badRequest(issue.message);
  const path = issue.path.map(String);
  if (missing(issue, body)) {
    const outer = path.slice(0, -1);
    return invalid(outer.at(-1) ?? within.at(-1) ?? 'None', at(body, outer), `'${path.at(-1)}' is a required property`);
  }
  return invalid(path.at(-1) ?? within.at(-1) ?? 'None', at(body, path), words(issue, at(body, path)));
}

function invalid(field: string, value: unknown, what: string): Fault {
  const given = typeof value === 'string' ? value : pythonText(value);
  return badRequest(`Invalid input for field/attribute ${field}. Value: ${given}. ${what}`);
}

function missing(issue: z.core.$ZodIssue, body: unknown): boolean {
  return (
    issue.path.length > 0 &&
    (issue.code === 'invalid_type' || issue.code === 'invalid_union') &&
    at(body, issue.path) === undefined
  );
}

function at(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    body,
  );
}

function words(issue: z.core.$ZodIssue, value: unknown): string {
  const given = pythonText(value);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const keys = issue.keys.map((key) => `'${key}'`).join(', ');
      return `Additional properties are not allowed (${keys} ${issue.keys.length > 1 ? 'were' : 'was'} unexpected)`;
    }
    case 'too_small':
      return issue.origin === 'string'
        ? `${given} is too short`
        : issue.origin === 'object'
          ? `${given} does not have enough properties`
          : `${given} is less than the minimum of ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `${given} is too long`
        : `${given} is greater than the maximum of ${issue.maximum}`;
    case 'invalid_format':
      return issue.format === 'uuid' || issue.format === 'guid'
        ? `${given} is not a 'uuid'`
        : `${given} does not match '${patternOf(issue)}'`;
    case 'invalid_type':
      return `${given} is not of type '${issue.expected === 'record' ? 'object' : issue.expected}'`;
    case 'invalid_value':
      return `${given} is not one of ${pythonText(issue.values)}`;
    case 'custom':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
      return issue.message.startsWith('Invalid input')
        ? `${given} is not valid under any of the given schemas`
        : issue.message;
  }
}

function patternOf(issue: { pattern?: string | undefined }): string {
  return (issue.pattern ?? '').replace(/^\/(.*)\/[a-z]*$/, '$1');
}

/** A value as Python prints it, which Cinder's messages do. */
export function pythonText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string')
    return value.includes("'") && !value.includes('"') ? `"${value}"` : `'${value.replaceAll("'", "\\'")}'`;
  if (Array.isArray(value)) return `[${value.map(pythonText).join(', ')}]`;
  if (typeof value === 'object')
    return `{${Object.entries(value)
      .map(([key, each]) => `${pythonText(key)}: ${pythonText(each)}`)
      .join(', ')}}`;
  return 'None';
}
