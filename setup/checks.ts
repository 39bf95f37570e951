import { join } from 'node:path';
import { execa } from 'execa';

const root = join(import.meta.dirname, '..');

/** What is checked without running the product; each counts like a test. */
const checks: readonly [name: string, argv: readonly [string, ...string[]]][] = [
  ['types fit (tsc)', ['tsc', '--project', '.']],
  ['lint finds nothing (oxlint)', ['oxlint', '--deny-warnings']],
  ['files are formatted (oxfmt)', ['oxfmt', '--check']],
  ['nothing is unused (knip)', ['knip', '--no-progress']],
];

/** Runs them all at once and prints what they found; resolves with how many went well, and the names of those that did not. */
export async function runChecks(): Promise<{ passed: number; failed: string[] }> {
  const went = await Promise.all(checks.map(([name, argv]) => check(name, argv)));
  const failed = checks.filter((_, at) => !went[at]).map(([name]) => name);
  return { passed: checks.length - failed.length, failed };
}

async function check(name: string, [program, ...args]: readonly [string, ...string[]]): Promise<boolean> {
  const { exitCode, all } = await execa(program, args, { cwd: root, preferLocal: true, reject: false, all: true });
  const well = exitCode === 0;
  console.log(`${well ? '✔' : '✖'} ${name}${well ? '' : `\n${all}`}`);
  return well;
}
