// npm test [-- FILE or FOLDER...]: the checks and all tests, or just the tests in what is named.
import { once } from 'node:events';
import { globSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { runChecks } from './checks.ts';

/** The long ones mostly wait for guests, servers and time limits, so three at a time are right even on two cpus. */
const concurrency = 3;
const root = join(import.meta.dirname, '..');
const named = process.argv.slice(2);
/** For a file as a whole; one that hangs must not keep the others' results back. What is named may be meant to take long. */
const fileTimeoutMs = (named.length ? 120 : 25) * 60_000;
const total = named.length ? { passed: 0, failed: 0 } : await runChecks();

const files = (named.length ? named : ['test'])
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts'), { cwd: root }) : path))
  .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));

if (!files.length) throw new Error(`there are no tests in ${named.join(', ')}`);

const first = await runFiles(files, concurrency);
const failed = files.filter((file) => !first.get(file)?.success);
const results = new Map(first);
if (failed.length) {
  // Two files at a time on a small shared machine can starve each other. What fails alone too has failed.
  console.log(`\nOnce more, one at a time: ${failed.join(', ')}\n`);
  for (const [file, result] of await runFiles(failed, 1)) {
    results.set(file, result);
    if (result.success) console.log(`passed only at the second try: ${file}`);
  }
}
for (const file of files) {
  const result = results.get(file);
  total.passed += result?.passed ?? 0;
  // A file can fail without a test that does: in a hook, or before its first test.
  total.failed += result?.success ? 0 : Math.max(result?.failed ?? 0, 1);
}

console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed ? 1 : 0;

interface FileResult {
  success: boolean;
  passed: number;
  failed: number;
}

/** Runs test files, prints what they say, and resolves with how each did; a file that came to no end is missing. */
async function runFiles(which: readonly string[], atOnce: number): Promise<Map<string, FileResult>> {
  const byFile = new Map<string, FileResult>();
  const events = run({ files: [...which], cwd: root, concurrency: atOnce, timeout: fileTimeoutMs });
  events.on('test:summary', ({ file, counts, success }) => {
    if (file === undefined) return;
    const notPassed = counts.tests - counts.passed - counts.skipped - counts.todo;
    byFile.set(relative(root, file), { success, passed: counts.passed, failed: notPassed });
  });
  const report = events.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await once(report, 'end');
  return byFile;
}

/** The longest first: two of those at the end would leave a cpu idle. */
function rank(file: string): number {
  return ['end-to-end', 'faults', 'chaos', 'demo', 'testbed', 'compute'].findIndex((folder) =>
    file.includes(folder),
  ) === -1
    ? 1
    : 0;
}
