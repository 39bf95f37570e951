/**
 * The longest signal or update, in signs. A workflow's history holds all that it was ever sent, and ends the workflow at 50 MB; what Ferry's
 * own messages carry is far below.
 */
export const longestMessage = 64 * 1024;

const deepest = 64;

/** Whether a message is more than a client sends, and than a workflow takes. */
export function isTooLong(args: unknown): boolean {
  return left(args, longestMessage, deepest) < 0;
}

export function tooLong(name: string): string {
  return `The message ${name} is longer than ${longestMessage} signs, or too deep: it is not taken.`;
}

/** What is left of so many signs after the value; below zero it has stopped to count. */
function left(value: unknown, signs: number, depth: number): number {
  if (signs < 0 || depth < 0) return -1;
  if (typeof value === 'string') return signs - value.length;
  if (ArrayBuffer.isView(value)) return signs - value.byteLength;
  if (typeof value !== 'object' || value === null) return signs - 1;
  let rest = signs - 1;
  for (const key in value) {
    rest = left((value as Record<string, unknown>)[key], rest - key.length, depth - 1);
    if (rest < 0) return rest;
  }
  return rest;
}
