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

/** Runs them all and prints what they found; resolves with how many went well and how many did not. */
export async function runChecks(): Promise<{ passed: number; failed: number }> {
  let failed = 0;
  for (const [name, [program, ...args]] of checks) {
    const { exitCode, all } = await execa(program, args, { cwd: root, preferLocal: true, reject: false, all: true });
    console.log(`${exitCode === 0 ? '✔' : '✖'} ${name}`);
    if (exitCode === 0) continue;
    failed += 1;
    console.log(all);
  }
  return { passed: checks.length - failed, failed };
}
