import { join } from 'node:path';
import { sharedLibrary } from './shared-library.ts';

/** Path of the compiled shim for user-mode Linux. */
export function xstateShim(): Promise<string> {
  return sharedLibrary(join(import.meta.dirname, 'xstate-shim.c'));
}
