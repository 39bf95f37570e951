// npm test [-- FILE or FOLDER...]: the checks and all tests, or just the tests in what is named. npm run test:LANE: those of a lane.
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec, type TestEvent } from 'node:test/reporters';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runChecks } from './checks.ts';
import { laneOf, lanes, longest, startsGuests, testFiles } from './lanes.mjs';
import { WrongUsage } from './report.mjs';

/**
 * Files at a time. They also wait for servers and time limits, so that three are right even on two cpus, and more as long as cpus have
 * nothing to do. Each has some gigabytes of servers.
 */
const atLeast = 3;
const atMost = 8;
/** Files whose nodes are guests wait less. */
const guestsAtOnce = 2;
/** Cpus that were idle for more than this share of the last seconds can take another file. */
const idleEnough = 0.15;
/** A file has begun to take its part by then. Milliseconds. */
const settleMs = 6_000;
const root = join(import.meta.dirname, '..');
const { lane, named } = readArguments();
/** For a file as a whole; one that hangs must not keep the others' results back. What is named may be meant to take long. */
const fileTimeoutMs = (named.length ? 120 : 45) * 60_000;

const checking = named.length || lane ? Promise.resolve({ passed: 0, failed: [] }) : runChecks();
const files = named.length ? namedFiles() : testFiles([]).filter((file) => !lane || laneOf(file) === lane);
const byRank = files.toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
const first = new Map<string, FileResult>();
/** What the files that run have said so far. */
const unfinished = new Map<string, string[]>();

// An ordinary end, so that what each test process began is not left to run on to its own; and what is known by then.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const said of unfinished.values()) console.log(said.join(''));
    tellSlowestAndFailed();
    console.log(`ended by ${signal} before: ${byRank.filter((file) => !first.has(file)).join(', ')}`);
    process.exit(130);
  });
}

await runFiles(byRank, { atLeast, atMost }, first);
const checked = await checking;
const total = { passed: checked.passed, failed: checked.failed.length };
const failed = byRank.filter((file) => !first.get(file)?.success);
const flaky: string[] = [];
if (failed.length) {
  // Tells what fails by itself from what fails beside others or by chance. It has failed either way.
  console.log(`\nOnce more, one at a time: ${failed.join(', ')}\n`);
  const second = new Map<string, FileResult>();
  await runFiles(failed, { atLeast: 1, atMost: 1 }, second);
  flaky.push(...failed.filter((file) => second.get(file)?.success));
}
for (const file of files) {
  const result = first.get(file);
  total.passed += result?.passed ?? 0;
  // A file can fail without a test that does: in a hook, or before its first test.
  total.failed += result?.success ? 0 : Math.max(result?.failed ?? 0, 1);
}

tellSlowestAndFailed();
for (const check of checked.failed) console.log(`✖ ${check}`);
if (failed.length) console.log(`failed: ${failed.join(', ')}`);
if (flaky.length) console.log(`flaky: ${flaky.join(', ')} (passed when run again; counted as failed)`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed ? 1 : 0;

interface FileResult {
  success: boolean;
  passed: number;
  failed: number;
  seconds: number;
  /** Of each test that failed its name, and the first line of why. */
  complaints: string[];
}

/** Once more in short: of a long output only the end may be kept. */
function tellSlowestAndFailed(): void {
  const slowest = [...first].toSorted(([, a], [, b]) => b.seconds - a.seconds).slice(0, 12);
  if (slowest.length)
    console.log(`slowest: ${slowest.map(([file, { seconds }]) => `${file} ${seconds} s`).join(', ')}`);
  for (const [file, { complaints }] of first) for (const each of complaints) console.log(`✖ ${file}: ${each}`);
}

/**
 * Runs test files beside each other: `atLeast` so many at any time, more while cpus are idle, but of those whose nodes are guests never more
 * than two: a third makes all of them slower. Prints what each said when it ended, and notes in `byFile` how it did; a file that came to
 * no end is missing there.
 */
async function runFiles(
  which: readonly string[],
  { atLeast: few, atMost: many }: { atLeast: number; atMost: number },
  byFile: Map<string, FileResult>,
): Promise<void> {
  const waiting = [...which];
  const running = new Map<string, Promise<void>>();
  const mayBegin = (file: string) =>
    !startsGuests(file) || [...running.keys()].filter(startsGuests).length < guestsAtOnce;
  let isIdle = false;
  while (waiting.length || running.size) {
    const next = running.size < few || (isIdle && running.size < many) ? waiting.findIndex(mayBegin) : -1;
    if (next !== -1) {
      const [file = ''] = waiting.splice(next, 1);
      running.set(
        file,
        runFile(file, byFile).finally(() => running.delete(file)),
      );
    }
    isIdle = false;
    if (running.size < few && waiting.some(mayBegin)) continue;
    const before = cpuTimes();
    const oneEnds = Promise.race(running.values()).then(() => true);
    const enough = new AbortController();
    const settled = sleep(settleMs, false, { signal: enough.signal }).catch(() => true);
    if (await Promise.race([oneEnds, settled])) enough.abort();
    else isIdle = idleShare(before, cpuTimes()) > idleEnough;
  }
}

interface CpuTimes {
  readonly idle: number;
  readonly all: number;
}

/** Of all cpus together, since the machine was started. */
function cpuTimes(): CpuTimes {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (of: (time: (typeof times)[number]) => number) => times.reduce((total, time) => total + of(time), 0);
  return {
    idle: sum(({ idle }) => idle),
    all: sum(({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq),
  };
}

function idleShare(from: CpuTimes, to: CpuTimes): number {
  return (to.idle - from.idle) / Math.max(to.all - from.all, 1);
}

async function runFile(path: string, byFile: Map<string, FileResult>): Promise<void> {
  const complaints: string[] = [];
  const events = run({ files: [path], cwd: root, timeout: fileTimeoutMs });
  events.on('test:summary', ({ file, counts, success, duration_ms }) => {
    if (file === undefined) return;
    const notPassed = counts.tests - counts.passed - counts.skipped - counts.todo;
    const seconds = Math.round(duration_ms / 1000);
    byFile.set(path, { success, passed: counts.passed, failed: notPassed, seconds, complaints });
  });
  events.on('test:fail', ({ name, details }) => {
    const { error } = details;
    if ('failureType' in error && error.failureType === 'subtestsFailed') return;
    const cause = error.cause instanceof Error ? error.cause : error;
    const [why = ''] = cause.message.split('\n\n', 1);
    // Where it was thrown, and through what in this project: the same words may come from many places.
    const through = [...(cause.stack ?? '').matchAll(/(?<=\/)[^/\s]+\.m?[jt]s:\d+(?=:\d+\)?$)/gm)]
      .slice(0, 6)
      .join(' < ');
    const inShort = `${name}: ${why.slice(0, 600)} (${'failureType' in error ? String(error.failureType) : 'outside of it'}; ${through})`;
    complaints.push(inShort.replaceAll('\n', ' '));
  });
  // One whole file after the other, not line by line between each other.
  const said: string[] = [];
  unfinished.set(path, said);
  for await (const part of Readable.from(withoutCounts(events)).compose(new spec())) said.push(String(part));
  unfinished.delete(path);
  const seconds = byFile.get(path)?.seconds;
  console.log(`\n${path}${seconds === undefined ? '' : ` (${seconds} s)`}\n${said.join('').trimEnd()}`);
}

/** The counts of one file are told with all others at the end. */
async function* withoutCounts(events: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  for await (const event of events) {
    const isCount =
      event.type === 'test:diagnostic' &&
      /^(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(event.data.message);
    if (!isCount) yield event;
  }
}

/** The long ones first, also those that mostly wait: one of them alone at the end would leave the cpus idle. */
function rank(file: string): number {
  const place = longest.indexOf(file);
  if (place !== -1) return place - longest.length;
  const long = ['end-to-end', 'faults', 'chaos', 'testbed', 'compute', 'workflows'];
  return startsGuests(file) || long.some((each) => file.includes(each)) ? 1 : 2;
}

function namedFiles(): string[] {
  try {
    return testFiles(named);
  } catch (error) {
    if (!(error instanceof WrongUsage)) throw error;
    console.error(error.message);
    process.exit(2);
  }
}

function readArguments(): { lane: string | null; named: string[] } {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { lane: { type: 'string' } } });
  const { lane = null } = values;
  if (lane !== null && !lanes.some((each) => each === lane)) throw new Error(`there is no lane ${lane}`);
  return { lane, named: positionals };
}
