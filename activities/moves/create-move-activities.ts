import { Context } from '@temporalio/activity';
import type { BalanceRequest, EvacuationRequest, MoveOutcome } from '../../model/evacuation.ts';
import type { Reason } from '../../model/errors.ts';
import { evacuationWorkflowId, migrationWorkflowId } from '../../model/names.ts';
import { decommission, setDisabled } from '../../registry/back-ends.ts';
import { backEndsOf } from '../../registry/move-facts.ts';
import * as plans from '../../registry/move-plans.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { beating } from '../beating.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { moveInputs } from '../inputs/moves.ts';

export interface MoveDependencies {
  readonly registry: Registry;
  /** Removes a schedule; not there: done. */
  readonly removeSchedule: (scheduleId: string) => Promise<void>;
  /** Waits for that run of a workflow to close; why it failed, or null when it did not. */
  readonly endOf: (workflowId: string, runId: string) => Promise<Reason | null>;
}

export type MoveActivities = ReturnType<typeof createMoveActivities>;

/** What plans of many moves ask of the registry and of Temporal. All may be repeated. */
export function createMoveActivities({ registry, removeSchedule, endOf }: MoveDependencies) {
  return checkInputs(moveInputs, {
    writeEvacuationPlan: (args: { planId: string; request: EvacuationRequest }) =>
      plans.writeEvacuationPlan(registry, args.planId, args.request),
    writeBalancePlan: (args: { planId: string; request: BalanceRequest }) =>
      plans.writeBalancePlan(registry, args.planId, args.request),
    advancePlan: (args: Parameters<typeof plans.advancePlan>[1]) => plans.advancePlan(registry, args),
    finishPlan: (args: { planId: string; outcome: MoveOutcome }) =>
      plans.finishPlan(registry, args.planId, args.outcome),

    disableBackEnds: async (args: { source: string; reason: string }): Promise<void> =>
      void (await setDisabled(registry, args.source, true, args.reason)),
    backEndsOf: (args: { node: string }) => backEndsOf(registry, args.node),
    decommission: (args: { node: string }) => decommission(registry, args.node),

    removeSchedule: (args: { source: string }) => removeSchedule(evacuationWorkflowId(args.source)),

    /** Waits for a migration that an earlier run of the caller has begun; why it failed, or null. */
    awaitMigration: beating(async ({ volumeId, runId }: { volumeId: string; runId: string }): Promise<Reason | null> =>
      Promise.race([endOf(migrationWorkflowId(volumeId), runId), Context.current().cancelled]),
    ),
  });
}
