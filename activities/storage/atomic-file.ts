import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where the next content of `file` is written; a crash may leave it behind, the next write or `removeWritten` takes it. */
const next = (file: string) => `${file}~`;

/**
 * Writes a file so that after a crash at any moment it has its old content or the new one, on the medium. The caller sees to
 * it that nobody else writes the same file.
 */
export async function writeAtomically(file: string, content: string): Promise<void> {
  const temporary = next(file);
  try {
    await using handle = await open(temporary, 'w', 0o600);
    await handle.writeFile(content);
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(file));
}

/** Removes what `writeAtomically` wrote, and what it left when it was killed. Not there: nothing happens. */
export async function removeWritten(file: string): Promise<void> {
  await rm(next(file), { force: true });
  await rm(file, { force: true });
  await syncFolder(dirname(file));
}

/** Brings a folder's entries to the medium: what was made, renamed or removed in it before. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}
