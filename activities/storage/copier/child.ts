import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import path from 'node:path';
import type { CopierCommand, CopierMessage } from '../copy-job.ts';
import { copierMark } from './device-lock.ts';

/** Beside this file, and of its kind: a release is JavaScript. */
const copierProgram = path.join(import.meta.dirname, `copier-process${path.extname(import.meta.filename)}`);

/** File reads and writes each occupy a thread: as many as keep a fast disk busy. */
const ioThreads = '8';

type Held = { ref(): unknown; unref(): unknown };

/** A copier process, as its worker sees it. */
export interface CopierChild {
  readonly pid: number | undefined;
  /** Resolves when the process, and every tool that it started, has really ended. Never rejects. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null; readonly lastWords: string }>;
  /** Whether it can still be given a job. */
  readonly alive: boolean;
  tell(command: CopierCommand): void;
  onMessage(listener: (message: CopierMessage) => void): void;
  kill(): void;
  /** Whether the worker's event loop is kept for it. */
  hold(held: boolean): void;
}

/** `compileCache`: where Node keeps what it has compiled. */
export function startChild(compileCache: string | undefined, program = copierProgram): CopierChild {
  const child = fork(program, [copierMark], {
    execPath: process.execPath,
    execArgv: [],
    // A group of its own: its tools are killed with it, and a terminal's Ctrl-C stays the worker's to answer.
    detached: true,
    // Nothing of the worker's environment, which holds secrets, is needed.
    env: {
      PATH: process.env['PATH'],
      LC_ALL: 'C',
      UV_THREADPOOL_SIZE: ioThreads,
      NODE_COMPILE_CACHE: compileCache,
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const lastWords = collectLastWords(child);
  const killGroup = () => {
    try {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  // A tool that it left behind would go on writing.
  child.once('exit', killGroup);
  return {
    pid: child.pid,
    ended: whenEnded(child, lastWords),
    get alive() {
      return child.connected && child.exitCode === null && child.signalCode === null;
    },
    // It may end at any time; that is told by `ended`.
    tell: (command) => void (child.connected && child.send(command, () => undefined)),
    onMessage: (listener) => void child.on('message', (message) => listener(message as CopierMessage)),
    kill: killGroup,
    hold: (held) => {
      const handles: (Held | null | undefined)[] = [child, child.channel, child.stderr as Socket | null];
      for (const handle of handles) {
        if (held) handle?.ref();
        else handle?.unref();
      }
    },
  };
}

/** `close` comes when also the last tool has let go of stderr; `disconnect` when the last message has been read. */
async function whenEnded(child: ChildProcess, lastWords: () => string) {
  const disconnected = new Promise((resolve) => child.once('disconnect', resolve));
  try {
    const [[code, signal]] = await Promise.all([once(child, 'close'), disconnected]);
    return { code: code as number | null, signal: signal as string | null, lastWords: lastWords() };
  } catch (error) {
    return { code: null, signal: null, lastWords: (error as Error).message };
  }
}

function collectLastWords(child: ChildProcess): () => string {
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2000);
  });
  return () => words.trim();
}
