import type { Action, Call } from './call.ts';
import { migrationActions } from './resources/migrate-volume.ts';
import { volumeCalls } from './resources/volumes.ts';

/** Every call that there is. Of two that fit a path the first wins. */
export const calls: readonly Call[] = [...volumeCalls];

export const actions: readonly Action[] = [...migrationActions];
