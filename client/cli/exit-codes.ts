import type { FerryErrorType } from '../../model/errors.ts';

export const exitCodes = { done: 0, refusedOrFailed: 1, usage: 2, unreachable: 3, detached: 130 } as const;

/** What the shell is told of an error. */
export function exitCodeOf(type: FerryErrorType): number {
  if (type === 'InvalidInput') return exitCodes.usage;
  return type === 'ServiceUnreachable' ? exitCodes.unreachable : exitCodes.refusedOrFailed;
}

export const exitCodesHelp = `Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 Temporal, Postgres or the workers
cannot be reached, 130 detached by Ctrl-C (the migration goes on).`;
