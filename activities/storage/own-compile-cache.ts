import { lstat, mkdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Where Node keeps what it has compiled of the programs that a worker starts, so that the next one starts in half the time: below the state
 * folder. Null where somebody else could write to it or exchange it, and with it the code that they run: then nothing is kept.
 */
export async function ownCompileCache(stateDirectory: string): Promise<string | null> {
  try {
    const named = join(stateDirectory, 'compiled');
    await mkdir(named, { recursive: true, mode: 0o700 });
    const folder = await realpath(named);
    return (await isOwn(folder)) ? folder : null;
  } catch {
    return null;
  }
}

/** Whether nobody but this user, and root, can write in the folder, or put another one in its place. */
async function isOwn(folder: string): Promise<boolean> {
  const user = process.geteuid!();
  const { uid, mode } = await lstat(folder);
  if (uid !== user || (mode & 0o077) !== 0) return false;
  for (let above = dirname(folder), below = folder; above !== below; below = above, above = dirname(above)) {
    const found = await lstat(above);
    if (found.uid !== user && found.uid !== 0) return false;
    // Of a sticky folder others may not rename what is not theirs.
    if ((found.mode & 0o022) !== 0 && (found.mode & 0o1000) === 0) return false;
  }
  return true;
}
