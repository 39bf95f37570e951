import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import path from 'node:path';
import { withCompileCache } from '../../../setup/cache-folder.mjs';

const main = path.join(import.meta.dirname, '../../../bin/ferry.ts');

export interface Answer {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The `ferry` command as a user has it: a process of its own, with this environment, a compile cache, and nothing else. */
export function ferryIn(env: Readonly<Record<string, string>>) {
  const { NODE_COMPILE_CACHE = '' } = withCompileCache(process.env);
  const { PATH = '', HOME = '' } = process.env;
  const environment = { PATH, HOME, LC_ALL: 'C', NODE_COMPILE_CACHE, ...env };
  const start = (args: readonly string[]) => {
    const child = spawn(process.execPath, [main, ...args], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const answer: Answer = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (data) => (answer.stdout += String(data)));
    child.stderr.on('data', (data) => (answer.stderr += String(data)));
    const ended = once(child, 'close').then(() => Object.assign(answer, { code: child.exitCode }));
    return { child, answer, ended };
  };
  return {
    /** Starts a command; `ended` resolves with its answer. */
    start,
    /** Runs a command to its end. */
    run: (...args: string[]): Promise<Answer> => start(args).ended,
    /** Starts a worker that logs to a file. */
    worker(args: readonly string[], logFile: string): ChildProcess {
      const log = openSync(logFile, 'a');
      return spawn(process.execPath, [main, ...args], { env: environment, stdio: ['ignore', log, log] });
    },
  };
}

/** For the environment: the process's clock is that far ahead, or behind if negative. */
export function clockAhead(seconds: number): { NODE_OPTIONS: string } {
  const code = `{
    const { Date: Real } = globalThis;
    globalThis.Date = class Date extends Real {
      constructor(...given) { if (given.length > 0) super(...given); else super(Date.now()); }
      static now() { return Real.now() + ${seconds * 1000}; }
    };
  }`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}

export async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
