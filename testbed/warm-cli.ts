import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { node, shortLived } from './process-worker.ts';

/** A command line of `ferry`, without the program, and all of its environment. */
export interface CliQuestion {
  args: readonly string[];
  env: NodeJS.ProcessEnv;
}

/** What came of it. */
export interface CliAnswer {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const stdio: StdioOptions = ['ignore', 'ignore', 'inherit', 'ipc'];
const idle: ChildProcess[] = [];

/**
 * Runs the `ferry` command in a process that has it loaded, with what is given added to this process's environment; an exit code other
 * than 0 is an answer, not an error. For tests that ask much: a start of Node each time costs more than what is asked. Any number at once.
 * The processes end with this one.
 */
export async function runWarmCli(env: Readonly<Record<string, string>>, args: readonly string[]): Promise<CliAnswer> {
  const child =
    idle.pop() ??
    fork(join(import.meta.dirname, 'warm-cli-process.ts'), { execPath: node, execArgv: [...shortLived], stdio });
  child.ref();
  child.channel?.ref();
  const question: CliQuestion = { args, env: { ...process.env, ...env } };
  child.send(question);
  const ended = new AbortController();
  const [answer] = (await Promise.race([
    once(child, 'message', { signal: ended.signal }),
    once(child, 'exit', { signal: ended.signal }).then(([code, signal]) => {
      throw new Error(`ferry ${args.join(' ')} ended its process: ${code ?? signal}`);
    }),
  ]).finally(() => ended.abort())) as [CliAnswer];
  child.unref();
  child.channel?.unref();
  idle.push(child);
  return { ...answer, stdout: answer.stdout.replace(/\n$/, ''), stderr: answer.stderr.replace(/\n$/, '') };
}
