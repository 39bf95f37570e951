import { ApplicationFailure, CancellationScope, condition, setHandler } from '@temporalio/workflow';
import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import { bandwidthPayload, progressPayload, steerPayload } from '../model/messages.ts';
import { failureOf } from './failures.ts';
import * as messages from './messages.ts';
import type { MigrationRun } from './migration-run.ts';
import { handleOperationMessages } from './operation-messages.ts';

/** What the claim came to; both null until it is decided. */
export interface Verdict {
  claimed: { migrationId: string } | null;
  refused: Reason | null;
}

/** Lets people and services ask and steer the migration. */
export function handleMessages(run: MigrationRun): Verdict {
  const verdict: Verdict = { claimed: null, refused: null };
  setHandler(messages.awaitClaim, async () => {
    await CancellationScope.nonCancellable(() => condition(() => verdict.claimed !== null || verdict.refused !== null));
    if (verdict.claimed) return verdict.claimed;
    throw failureOf(verdict.refused!);
  });
  setHandler(messages.cancelMigration, () => run.cancel(), {
    validator: () => {
      if (run.parking.reason) throw failureOf(run.parking.reason);
      if (!run.pastPointOfNoReturn) return;
      throw ApplicationFailure.nonRetryable(
        `The migration of volume ${run.request.volumeId} is past the point of no return (${run.state.phase}): the volume is on ${run.request.destination}. To go back, migrate it again.`,
        'PastPointOfNoReturn',
      );
    },
  });
  const beforeSwitch = () => {
    if (!run.pastPointOfNoReturn && run.state.phase !== 'undoing') return;
    throw ApplicationFailure.nonRetryable(
      `The copy is over (${run.state.phase}); there is nothing to pause or slow down.`,
      'PastPointOfNoReturn',
    );
  };
  setHandler(messages.pauseMigration, () => run.change({ paused: true }), { validator: beforeSwitch });
  setHandler(messages.resumeMigration, () => run.change({ paused: false }), { validator: beforeSwitch });
  setHandler(messages.setBandwidth, (bandwidth) => run.change({ bandwidth }), {
    validator: (bandwidth: unknown) => {
      beforeSwitch();
      const parsed = bandwidthPayload.safeParse(bandwidth);
      if (!parsed.success)
        throw ApplicationFailure.nonRetryable(`bandwidth: ${z.prettifyError(parsed.error)}`, 'InvalidInput');
    },
  });
  setHandler(messages.steerMigration, (payload) => {
    const parsed = steerPayload.safeParse(payload);
    if (!parsed.success || run.pastPointOfNoReturn || run.state.phase === 'undoing') return;
    const { paused = run.state.paused, bandwidth = run.state.bandwidth } = parsed.data;
    if (paused !== run.state.paused || bandwidth !== run.state.bandwidth) run.change({ paused, bandwidth });
  });
  setHandler(messages.progressReported, (payload) => {
    const parsed = progressPayload.safeParse(payload);
    if (parsed.success) run.report(parsed.data);
  });
  setHandler(messages.migrationState, () => run.state);
  handleOperationMessages(run);
  return verdict;
}
