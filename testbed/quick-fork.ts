import { join } from 'node:path';
import { sharedLibrary } from './shared-library.ts';

/**
 * What comes before a Node that starts many programs, so that each start costs little: it is no part of Ferry, and a worker does the same
 * without it. Nothing where it cannot be compiled, or where another library is preloaded.
 */
export async function quickFork(env: Readonly<Record<string, string | undefined>>): Promise<string[]> {
  if (process.arch !== 'x64' || env['LD_PRELOAD']) return [];
  const library = await sharedLibrary(join(import.meta.dirname, 'quick-fork.c')).catch(() => null);
  return library === null ? [] : ['env', `LD_PRELOAD=${library}`];
}
