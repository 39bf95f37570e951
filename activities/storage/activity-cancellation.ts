import { asyncLocalStorage } from '@temporalio/activity';

/** The signal that cancels the activity under way; undefined outside of one. */
export function activityCancellation(): AbortSignal | undefined {
  return asyncLocalStorage.getStore()?.cancellationSignal;
}
