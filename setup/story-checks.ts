// What the lanes that tell a long story share: checks that are counted and shown as they come.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ran } from './namespaces/commands.ts';

export const found: string[] = [];
export const passed = () => count;
let count = 0;

/** Counts a check, and says how it went. */
export function check(what: string, well: boolean, why = ''): void {
  console.log(`${well ? '✔' : '✖'} ${what}`);
  if (well) count += 1;
  else {
    found.push(what);
    if (why) console.log(why.split('\n').slice(-60).join('\n'));
  }
}

const began = Date.now();
export const said = (text: string) => console.log(`\n${Math.round((Date.now() - began) / 1000)} s: ${text}`);

/** What is one of the lane's own commands must work. */
export async function must(ran: Promise<Ran>): Promise<string> {
  const { exitCode, output } = await ran;
  if (exitCode !== 0) throw new Error(`it ended with ${exitCode}:\n${output}`);
  return output;
}

/** Waits for a condition; false when it does not come. */
export async function comes(is: () => Promise<boolean>, withinSeconds = 180): Promise<boolean> {
  for (const deadline = Date.now() + withinSeconds * 1000; Date.now() < deadline; await sleep(500))
    if (await is()) return true;
  return false;
}

/** The end: what went wrong once more, and the exit code. */
export function sumUp(): void {
  said('the end');
  if (found.length) console.log(`failed: ${found.join('; ')}`);
  console.log(`${passed()} passed, ${found.length} failed`);
  process.exitCode = found.length ? 1 : 0;
}
