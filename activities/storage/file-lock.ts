import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { FerryError } from '../../model/errors.ts';
import { activityCancellation } from './activity-cancellation.ts';
import { toolFailed } from './run-command.ts';
import { nullIfMissing } from './system-errors.ts';

/**
 * Runs `action` while holding an exclusive lock on `file`, which is made if missing (its folder is not). Waits for whoever
 * holds it: in this process or another one of this machine. The lock ends with the process that took it, however that ends.
 * A cancel (of the activity under way, unless a signal is given) ends the wait, never the lock once held.
 */
export async function withFileLock<T>(
  file: string,
  action: () => Promise<T>,
  signal = activityCancellation(),
): Promise<T> {
  await using handle = await openLock(file, signal);
  await lock(handle, file, signal);
  return await action();
}

/**
 * The same for anything that has a name: its lock is a file of its own in `folder`, which is made if missing. No two names wait for
 * each other. The file is there only while somebody holds or wants the lock: whoever held it removes it, and whoever got
 * the lock of a removed file takes that of the next one.
 */
export async function withNamedLock<T>(folder: string, name: string, action: () => Promise<T>): Promise<T> {
  const signal = activityCancellation();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${createHash('sha256').update(name).digest('hex')}.lock`);
  for (;;) {
    await using handle = await openLock(file, signal);
    await lock(handle, file, signal);
    // Its last holder may have removed it while we waited: then the name's lock is another file by now.
    if (!(await isStill(handle, file))) continue;
    try {
      return await action();
    } finally {
      // Only while it is held: so nobody else's file can be under that name.
      await rm(file, { force: true });
    }
  }
}

async function openLock(file: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  signal?.throwIfAborted();
  try {
    return await open(file, 'a', 0o600);
  } catch (error) {
    throw new FerryError('ToolFailed', `the lock ${file} cannot be opened: ${(error as Error).message}`, { file });
  }
}

/**
 * Node has no flock of its own. The child locks the open file that it shares with this process, and ends; the lock stays for as long as
 * this process has that file open, which the kernel sees to also when the process is killed.
 */
async function lock(handle: FileHandle, file: string, signal: AbortSignal | undefined): Promise<void> {
  const argv = ['flock', '--exclusive', '3'] as const;
  const child = spawn(argv[0], argv.slice(1), { detached: true, stdio: ['ignore', 'ignore', 'pipe', handle.fd] });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const giveUp = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', giveUp, { once: true });
  let because: string | undefined;
  try {
    await once(child, 'close');
  } catch (error) {
    because = (error as Error).message;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  signal?.throwIfAborted();
  if (child.exitCode !== 0)
    throw toolFailed([...argv, file], { exitCode: child.exitCode, signal: child.signalCode, stderr, because });
}

/** Whether the open file is the one that has that name now. */
async function isStill(handle: FileHandle, file: string): Promise<boolean> {
  const [held, named] = await Promise.all([
    handle.stat({ bigint: true }),
    stat(file, { bigint: true }).catch(nullIfMissing),
  ]);
  return named !== null && named.ino === held.ino && named.dev === held.dev;
}
