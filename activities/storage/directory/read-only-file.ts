import { chmod, open, stat } from 'node:fs/promises';
import { exitCodeOf, runCommand } from '../run-command.ts';
import { systemCode } from '../system-errors.ts';

/** Whether nobody, or at least not this user, may write to the file. */
export async function isReadOnly(file: string): Promise<boolean> {
  try {
    await using _ = await open(file, 'r+');
    return false;
  } catch (error) {
    if (['EPERM', 'EACCES', 'EROFS'].includes(systemCode(error) ?? '')) return true;
    throw error;
  }
}

/** Nobody may write to the file, rename or remove it, root neither. False: its file system, or this user, cannot do that. */
export async function makeImmutable(file: string): Promise<boolean> {
  return changeAttribute('+i', file);
}

export async function makeMutable(file: string): Promise<void> {
  await changeAttribute('-i', file);
}

/** Takes away everybody's permission to write; root does not ask for it. */
export async function forbidWriting(file: string, mode: number): Promise<void> {
  await chmod(file, mode & ~0o222);
}

/** `mode`: what the permissions were; null if that is not known: then the owner may write. */
export async function allowWriting(file: string, mode: number | null): Promise<void> {
  await chmod(file, mode ?? ((await stat(file)).mode & 0o7777) | 0o200);
}

async function changeAttribute(change: '+i' | '-i', file: string): Promise<boolean> {
  try {
    await runCommand(['chattr', change, '--', file]);
    return true;
  } catch (error) {
    if (exitCodeOf(error) !== null || isNotInstalled(error)) return false;
    throw error;
  }
}

function isNotInstalled(error: unknown): boolean {
  return error instanceof Error && error.message.includes('ENOENT');
}
