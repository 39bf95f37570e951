import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { activityCancellation } from './activity-cancellation.ts';
import { toolFailed } from './run-command.ts';

/**
 * Runs `action` while holding an exclusive lock on `file`, which is made if missing (its folder is not). Waits for whoever
 * holds it: in this process or another one of this machine. The lock ends with the process that took it, however that ends.
 * A cancel (of the activity under way, unless a signal is given) ends the wait, never the lock once held.
 *
 * Node has no flock of its own, so a child holds the lock for as long as its stdin is open: the kernel closes that also when
 * this process is killed.
 */
export async function withFileLock<T>(
  file: string,
  action: () => Promise<T>,
  signal = activityCancellation(),
): Promise<T> {
  signal?.throwIfAborted();
  const argv = ['flock', '--exclusive', '--no-fork', file, 'cat'] as const;
  // A session of its own: an interrupt from the terminal must not take the lock from an action that is still under way.
  const holder = spawn(argv[0], argv.slice(1), { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<Error | null>((resolve) => holder.on('error', resolve).on('close', () => resolve(null)));
  let stderr = '';
  holder.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  holder.stdin.on('error', () => {}); // it ended before it read: `ended` tells
  const giveUp = () => holder.kill('SIGKILL');
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    holder.stdin.write('\n'); // comes back when `cat` runs, that is when the lock is held
    const held = await Promise.race([once(holder.stdout, 'data').then(() => true), ended.then(() => false)]);
    signal?.throwIfAborted();
    if (!held) {
      const because = (await ended)?.message;
      throw toolFailed(argv, { exitCode: holder.exitCode, signal: holder.signalCode, stderr, because });
    }
    signal?.removeEventListener('abort', giveUp);
    return await action();
  } finally {
    signal?.removeEventListener('abort', giveUp);
    holder.stdin.end();
    await ended;
  }
}

/**
 * The same for anything that has a name: its lock is one of 64 files in `folder`, which is made if missing. Lock files cannot be
 * removed safely, so there must not be one for every name that ever was; that two names may share a lock only costs a wait.
 */
export async function withNamedLock<T>(folder: string, name: string, action: () => Promise<T>): Promise<T> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const slot = createHash('sha256').update(name).digest()[0]! % 64;
  return withFileLock(join(folder, `${slot}.lock`), action);
}
