import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ServerOptions {
  /** For messages: "Postgres". */
  name: string;
  command: readonly [string, ...string[]];
  /** Run `command` under these, e.g. in a namespace. */
  within?: readonly string[];
  /** The signal with which it ends in good order. */
  stopSignal: NodeJS.Signals;
  /** Gets what it prints, appended. */
  logFile: string;
  env?: Readonly<Record<string, string>>;
}

/** Longest start: recovery of a database after a crash, on a busy machine. */
const startSeconds = 120;
/** After that a server that was asked to end is killed. */
const stopSeconds = 30;

/** A server that is part of this process: it ends when this one does, also when this one is killed. */
export class ServerProcess {
  readonly #options: ServerOptions;
  #process: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (!pid) throw new Error(`${this.#options.name} is not running`);
    return pid;
  }

  /** Resolves when `ready` first does. Rejects with the end of the log when the server ends before. */
  async start(ready: () => Promise<unknown>): Promise<void> {
    const { name, command, within = [], stopSignal, logFile, env } = this.#options;
    await mkdir(dirname(logFile), { recursive: true });
    const [program = '', ...args] = [...within, 'setpriv', '--pdeathsig', stopSignal, '--', ...command];
    const log = openSync(logFile, 'a', 0o600);
    const server = spawn(program, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
      // Ctrl-C in a terminal is for this process, which ends its servers in its own order.
      detached: true,
    });
    closeSync(log);
    this.#process = server;
    let problem: Error | undefined;
    this.#ended = new Promise((resolve) => {
      server.once('exit', resolve).once('error', (error) => resolve((problem = error)));
    });
    for (const deadline = Date.now() + startSeconds * 1000; ; await sleep(50)) {
      try {
        await ready();
        return;
      } catch (error) {
        const ended = problem !== undefined || server.exitCode !== null || server.signalCode !== null;
        if (!ended && Date.now() < deadline) continue;
        await this.crash();
        const what = ended ? 'did not start' : `was not ready after ${startSeconds} s`;
        throw new Error(`${name} ${what}: ${problem?.message ?? lastLines(logFile)} (log: ${logFile})`, {
          cause: error,
        });
      }
    }
  }

  /** Ends it in good order. May be repeated. */
  stop(): Promise<void> {
    return this.#end(this.#options.stopSignal);
  }

  /** Kills it with all its processes, as the machine's crash would: what they were asked before is not answered any more. */
  async crash(): Promise<void> {
    const children = this.#children();
    const ended = this.#end('SIGKILL');
    for (const pid of children) killIfThere(pid);
    await ended;
  }

  #children(): number[] {
    const pid = this.#process?.pid;
    try {
      return pid
        ? readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
        : [];
    } catch {
      return []; // It has ended by itself.
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#process;
    server?.kill(signal);
    const patience = setTimeout(() => server?.kill('SIGKILL'), stopSeconds * 1000);
    await this.#ended;
    clearTimeout(patience);
    this.#process = null;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n');
}
