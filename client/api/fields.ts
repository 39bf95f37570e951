import * as z from 'zod';
import { pythonText } from './input-fault.ts';

/** Fields as Cinder takes them: numbers and flags as strings too, and refused in the words of its validation. */

function field<T>(read: (value: unknown) => { value: T } | { words: string }, json: Record<string, unknown>) {
  return z
    .unknown()
    .transform((given, context): T => {
      const result = read(given);
      if ('value' in result) return result.value;
      context.addIssue({ code: 'custom', message: result.words, input: given });
      return z.NEVER;
    })
    .meta(json);
}

/** A whole number from 1 on, or its digits. */
export const positiveInteger = field<number>(
  (given) => {
    if (typeof given === 'string' && !/^[0-9]+$/.test(given))
      return { words: `${pythonText(given)} does not match '^[0-9]+$'` };
    const number = typeof given === 'string' ? Number(given) : given;
    if (typeof number !== 'number' || !Number.isInteger(number))
      return { words: `${pythonText(given)} is not of type 'integer', 'string'` };
    if (number < 1) return { words: `${pythonText(given)} is less than the minimum of 1` };
    if (number > 2_147_483_647) return { words: `${pythonText(given)} is greater than the maximum of 2147483647` };
    return { value: number };
  },
  { type: ['integer', 'string'], minimum: 1 },
);

const trueWords: readonly unknown[] = [true, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes'];
const falseWords: readonly unknown[] = [false, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no'];

/** A flag, or one of the words that Python programs send for it. */
export const flag = field<boolean>(
  (given) => {
    if (trueWords.includes(given)) return { value: true };
    if (falseWords.includes(given)) return { value: false };
    return { words: `${pythonText(given)} is not one of ${pythonText([...trueWords, ...falseWords])}` };
  },
  { type: ['boolean', 'string'] },
);

/** Text of a length that is checked with other words, see `labelOf`. Absent and null are the same. */
export const text = z.string().nullish();

const metadataKey = /^[a-zA-Z0-9\-_:. /]{1,255}$/;

/** What somebody keeps with an object: texts by keys. */
export const metadata = field<Record<string, string>>(
  (given) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      return { words: `${pythonText(given)} is not of type 'object'` };
    for (const [key, value] of Object.entries(given)) {
      if (!metadataKey.test(key))
        return { words: `${pythonText(key)} does not match any of the regexes: '^[a-zA-Z0-9-_:. /]{1,255}$'` };
      if (typeof value !== 'string') return { words: `${pythonText(value)} is not of type 'string'` };
      if (value.length > 255) return { words: `${pythonText(value)} is too long` };
    }
    return { value: given as Record<string, string> };
  },
  { type: 'object', additionalProperties: { type: 'string', maxLength: 255 } },
);
