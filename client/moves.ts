import { WorkflowNotFoundError } from '@temporalio/common';
import type {
  BalanceRequestInput,
  DecommissionReport,
  EvacuationRequestInput,
  MovePlan,
  MovesState,
  MoveState,
  MoveTally,
  PlannedMove,
} from '../model/evacuation.ts';
import { balanceRequest, decommissionRequest, evacuationRequest } from '../model/evacuation.ts';
import { messages } from '../model/messages.ts';
import { balanceWorkflowId, controlQueue, decommissionWorkflowId, evacuationWorkflowId } from '../model/names.ts';
import {
  findPlan,
  listMoves,
  listPlans,
  readBalancePlan,
  readEvacuationPlan,
  tallyPlan,
  type PlannedMoveRecord,
  type PlanRecord,
} from '../registry/move-plans.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import type { MigrationView } from './migration-view.ts';
import { movesWorkflowId, notEvacuating } from './moves-control.ts';
import { parseInput } from './parse-input.ts';

/** A plan as somebody who watches sees it. */
export interface MovesView {
  plan: PlanRecord;
  tally: MoveTally;
  /** What the running workflow says; null when none runs, or no control worker answers. */
  state: MovesState | null;
  /** Its workflow was ended from outside: nothing begins any more. */
  interrupted: boolean;
  /** The running migrations. */
  running: MigrationView[];
}

/** So many running migrations are looked at one by one. */
const lookedAt = 16;

/** What an administrator may ask about moves of many volumes; steering them is in moves-control.ts. */
export function movesCommands(context: Context) {
  const { registry, identity } = context;
  const complete = <T extends object>(input: T) => ({
    requestedBy: identity.name,
    nodeTimeoutSeconds: context.configuration.nodeTimeoutSeconds,
    ...input,
  });
  const planOf = async (source: string): Promise<PlanRecord> => {
    const plan = await findPlan(registry, source);
    if (!plan) throw await notEvacuating(context, source);
    return plan;
  };
  const stateOf = async (source: string): Promise<MovesState | null> => {
    const temporal = await context.temporal();
    return temporal
      .call((client) => client.workflow.getHandle(movesWorkflowId(source)).query<MovesState>(messages.movesState), {
        deadlineMs: 2_000,
      })
      .catch(() => null);
  };
  const isRunning = async (source: string): Promise<boolean> => {
    const temporal = await context.temporal();
    try {
      const { status } = await temporal.call((client) => client.workflow.getHandle(movesWorkflowId(source)).describe());
      return status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
  return {
    /** What `startEvacuation` would do now. Changes nothing, and needs no Temporal. */
    async planEvacuation(input: EvacuationRequestInput): Promise<MovePlan> {
      requireAdmin(identity, 'evacuate back ends');
      return readEvacuationPlan(registry, parseInput(evacuationRequest, complete(input)));
    },

    /** See startMoves in start-moves.ts. */
    async startEvacuation(input: EvacuationRequestInput): Promise<{ planId: string }> {
      requireAdmin(identity, 'evacuate back ends');
      const request = parseInput(evacuationRequest, complete(input));
      const { startMoves } = await import('./start-moves.ts');
      return startMoves(context, {
        workflow: 'evacuateHost',
        workflowId: evacuationWorkflowId(request.source),
        request,
        summary: `evacuate ${request.source}`,
        running: `${request.source} is being evacuated already.\nWatch it:  ferry evacuation watch ${request.source}\nCancel it: ferry evacuation cancel ${request.source}`,
      });
    },

    /** Evacuates whenever the cron line (UTC) says so, until the source is empty. There is one already: it is replaced. */
    async scheduleEvacuation(input: EvacuationRequestInput, cron: string): Promise<void> {
      requireAdmin(identity, 'evacuate back ends');
      const request = parseInput(evacuationRequest, complete(input));
      const { scheduleEvacuation } = await import('./schedule-evacuation.ts');
      await scheduleEvacuation(await context.temporal(), request, cron);
    },

    /** Takes `scheduleEvacuation` back. `NotEvacuating` when there is none. */
    async unscheduleEvacuation(source: string): Promise<void> {
      requireAdmin(identity, 'evacuate back ends');
      const { unscheduleEvacuation } = await import('./schedule-evacuation.ts');
      await unscheduleEvacuation(await context.temporal(), source);
    },

    /** Evacuates a node and marks it when nothing is left; resolves at the end, which may be after days. May be asked for again. */
    async decommissionNode(input: EvacuationRequestInput): Promise<DecommissionReport> {
      requireAdmin(identity, 'decommission nodes');
      const request = parseInput(decommissionRequest, complete(input));
      const { waitForControlWorker } = await import('./control-worker.ts');
      const { workflowResult } = await import('./workflow-result.ts');
      const temporal = await context.temporal();
      await waitForControlWorker(temporal);
      const handle = await temporal.call((client) =>
        client.workflow.start<(input: unknown) => Promise<DecommissionReport>>('decommissionNode', {
          workflowId: decommissionWorkflowId(request.source),
          taskQueue: controlQueue,
          workflowIdConflictPolicy: 'USE_EXISTING',
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          staticSummary: `decommission ${request.source}`,
          args: [request],
        }),
      );
      return workflowResult<(input: unknown) => Promise<DecommissionReport>>(temporal, handle);
    },

    /** The moves that `startBalance` would make now. Changes nothing. */
    async planBalance(input: BalanceRequestInput): Promise<PlannedMove[]> {
      requireAdmin(identity, 'balance back ends');
      return readBalancePlan(registry, parseInput(balanceRequest, complete(input)));
    },

    async startBalance(input: BalanceRequestInput): Promise<{ planId: string }> {
      requireAdmin(identity, 'balance back ends');
      const request = parseInput(balanceRequest, complete(input));
      const { startMoves } = await import('./start-moves.ts');
      return startMoves(context, {
        workflow: 'balanceBackEnds',
        workflowId: balanceWorkflowId,
        request,
        summary: `balance ${request.zone ?? 'every zone'}`,
        running: 'Back ends are being balanced already.\nWatch it:  ferry evacuation watch balance',
      });
    },

    /** The last plan of a node or back end, or the plan of that id, as it is now. `NotEvacuating` if there never was one. */
    async findMoves(source: string): Promise<MovesView> {
      requireAdmin(identity, 'look at evacuations');
      const plan = await planOf(source);
      const tally = await tallyPlan(registry, plan.id);
      if (plan.outcome !== null) return { plan, tally, state: null, interrupted: false, running: [] };
      const name = plan.kind === 'balance' ? 'balance' : plan.source;
      const state = await stateOf(name);
      const { readMigration } = await import('./migration-view.ts');
      const temporal = await context.temporal();
      const moving = await listMoves(registry, plan.id, { states: ['moving'], limit: lookedAt });
      const views = await Promise.all(
        moving.map(({ volumeId }) => readMigration(temporal, volumeId).catch(() => null)),
      );
      const interrupted = !(await isRunning(name)) && (await planOf(plan.id)).outcome === null;
      return {
        plan,
        tally,
        state,
        interrupted,
        running: views.flatMap((found) => (found?.running ? [found.view] : [])),
      };
    },

    /** The volumes of a plan, in its order. */
    async listMoves(planId: string, states?: readonly MoveState[]): Promise<PlannedMoveRecord[]> {
      requireAdmin(identity, 'look at evacuations');
      return listMoves(registry, planId, { states });
    },

    /** The last begun first. */
    async listPlans(limit: number): Promise<PlanRecord[]> {
      requireAdmin(identity, 'look at evacuations');
      return listPlans(registry, limit);
    },
  };
}
