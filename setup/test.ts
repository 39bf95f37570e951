// npm test [-- FILE or FOLDER...]: the checks and all tests, or just the tests in what is named.
import { once } from 'node:events';
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { runChecks } from './checks.ts';

/** Most of these wait for guests and servers, so two at a time are right even on two cpus. */
const concurrency = 2;
/** For a file as a whole; one that hangs must not keep the others' results back. */
const fileTimeoutMs = 15 * 60_000;

const root = join(import.meta.dirname, '..');
const named = process.argv.slice(2);
const total = named.length ? { passed: 0, failed: 0 } : await runChecks();

const files = (named.length ? named : ['test'])
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts')) : path))
  .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));

if (!files.length) throw new Error(`there are no tests in ${named.join(', ')}`);

const events = run({ files, cwd: root, concurrency, timeout: fileTimeoutMs });
events.on('test:summary', ({ file, counts, success }) => {
  // There is one of each file, and one of all.
  if (file !== undefined) return;
  const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
  total.passed += counts.passed;
  // A hook can fail without a test that does.
  total.failed += success ? failed : Math.max(failed, 1);
});
const report = events.compose(new spec());
report.pipe(process.stdout, { end: false });
await once(report, 'end');

console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed ? 1 : 0;

/** The longest first: two of those at the end would leave a cpu idle. */
function rank(file: string): number {
  return ['end-to-end', 'testbed', 'compute'].findIndex((folder) => file.includes(folder)) === -1 ? 1 : 0;
}
