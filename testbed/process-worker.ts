import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quickFork } from './quick-fork.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The project's own Node, and Ferry's command line program. */
export const node = join(root, 'node_modules/node/bin/node');
export const ferryMain = join(root, 'bin/ferry.ts');

/** A test's worker lives for a minute or two: a look for garbage whenever it rests costs more than the memory that it finds. */
export const shortLived = ['--no-memory-reducer', '--min-semi-space-size=16'] as const;

/** How long a worker may take to its first words on a machine under load. Milliseconds. */
const readyMs = 240_000;

/** A worker that can be started, killed and started again, as a process manager would. */
export interface ManagedWorker {
  start(): Promise<void>;
  /** Signals it; for KILL, TERM and INT resolves when it has ended. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** False when it was never started, has ended or, as far as that can be seen, has died. */
  isRunning(): boolean;
}

/** A worker as a child process of this one, with which it ends. `within`: a command line that runs what follows it, as `nsenter` does. */
export function processWorker(
  args: readonly string[],
  env: Record<string, string>,
  log: string,
  within: readonly string[] = [],
): ManagedWorker {
  let child: ChildProcess | null = null;
  const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;
  return {
    async start() {
      await using output = await open(log, 'a+');
      const from = (await output.stat()).size;
      const complete = { ...process.env, ...env };
      const program = [...(await quickFork(complete)), node, ...shortLived, ferryMain];
      child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', '--', ...within, ...program, ...args], {
        env: complete,
        stdio: ['ignore', output.fd, output.fd],
      });
      const running = child;
      await untilReady(log, async () => {
        const ended = hasEnded(running);
        const { size } = await output.stat();
        const { buffer } = await output.read(Buffer.alloc(size - from), 0, size - from, from);
        const said = buffer.toString();
        if (ended) throw endedEarly(args, `with ${running.exitCode ?? running.signalCode}`, said, log);
        return said;
      });
    },
    async signal(signal) {
      const running = child;
      if (!running || hasEnded(running)) return;
      const ended = endsIt(signal) ? once(running, 'exit') : null;
      running.kill(signal);
      await ended;
    },
    isRunning: () => child !== null && !hasEnded(child),
  };
}

/** Whether a worker is gone after the signal. */
export function endsIt(signal: NodeJS.Signals): boolean {
  return signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT';
}

/** The error of a worker that ended before it was ready, with the last that it said. */
export function endedEarly(args: readonly string[], how: string, said: string, log: string): Error {
  const last = said.trim().split('\n').slice(-3).join('\n');
  return new Error(`ferry ${args.join(' ')} ended ${how} before it was ready; see ${log}:\n${last}`);
}

/** Waits until a worker has written to its log that it is ready. */
export async function untilReady(log: string, output: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + readyMs;
  while (!/"msg":"ready"/.test(await output())) {
    if (Date.now() > deadline) throw new Error(`not ready after ${readyMs / 1000} s; see ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
