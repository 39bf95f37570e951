import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { activityCancellation } from '../activity-cancellation.ts';
import { toolFailed } from '../run-command.ts';

/** File reads each occupy a thread: as many as keep a fast disk busy. */
const ioThreads = '8';

/**
 * Starts a server of our own, in a session of its own, and resolves when it listens; it outlives this process then. Rejects with
 * `ToolFailed`, its last words in it, or with the reason of the activity's cancellation; it has ended then.
 */
export async function startReader(
  argv: readonly [string, ...string[]],
  { timeoutMs, compileCache }: { timeoutMs: number; compileCache: string | undefined },
): Promise<void> {
  const signal = activityCancellation();
  signal?.throwIfAborted();
  const [program, ...args] = argv;
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    // Nothing of the worker's environment, which holds secrets, is needed.
    env: {
      PATH: process.env['PATH'],
      LC_ALL: 'C',
      UV_THREADPOOL_SIZE: ioThreads,
      NODE_COMPILE_CACHE: compileCache,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4096)));
  const kill = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', kill, { once: true });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // A failure to start is told by `ended`.
  child.once('error', () => undefined);
  try {
    const end = await Promise.race([ended, once(child.stdout, 'data').then(() => null)]);
    if (end === null) return;
    signal?.throwIfAborted();
    const because = timedOut ? `does not listen after ${timeoutMs / 1000} s` : undefined;
    throw toolFailed(argv, { exitCode: end[0], signal: end[1], stderr, because });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
    ended.catch(() => undefined);
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}
