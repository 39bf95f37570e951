import { asyncLocalStorage } from '@temporalio/activity';
import { standstill } from './activity-work.ts';

/** The signal that cancels the activity under way, or ends it as it stands still; undefined outside of one. */
export function activityCancellation(): AbortSignal | undefined {
  return standstill() ?? asyncLocalStorage.getStore()?.cancellationSignal;
}
