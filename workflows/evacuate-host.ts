import { ApplicationFailure, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import * as z from 'zod';
import { evacuationRequest, type EvacuationRequest, type MovesReport } from '../model/evacuation.ts';
import { moves } from './activities.ts';
import { answeringForPlan } from './moves/answer-plan.ts';
import { carryOutMoves } from './moves/carry-out-moves.ts';
import { MovesRun, type Resumed } from './moves/moves-run.ts';

/**
 * Empties a node or back end: plan → disable it → move every volume by `migrateVolume` → report. What cannot be moved stays and is told;
 * what does not fit anywhere refuses the whole before anything is touched. A cancel begins nothing new and leaves it disabled.
 */
export async function evacuateHost(input: unknown, resumed: Resumed | null = null): Promise<MovesReport> {
  const parsed = evacuationRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const request = parsed.data;
  const { source, windowSeconds } = request;
  const planId = workflowInfo().firstExecutionRunId;
  const run = new MovesRun({ planId, source, settings: request, windowSeconds }, resumed);
  return answeringForPlan(planId, async (stands) => {
    const plan = () =>
      moves.writeEvacuationPlan.executeWithOptions({ summary: `plan what is on ${source}` }, [{ planId, request }]);
    if (!resumed) {
      if (await cancelledBeforeStart(run, request, stands))
        return { planId, source, outcome: 'cancelled', tally: run.state.tally };
      await run.tallied(await plan());
      await moves.disableBackEnds.executeWithOptions({ summary: `disable ${source}` }, [
        { source, reason: request.reason },
      ]);
    }
    stands();
    const outcome = await carryOutMoves(run, plan, (state) => continueAsNew<typeof evacuateHost>(input, state));
    await moves.finishPlan.executeWithOptions({ summary: `record: ${outcome}` }, [{ planId, outcome }]);
    return { planId, source, outcome, tally: run.state.tally };
  });
}

/** Waits until it is to begin; true when it was cancelled by then. */
async function cancelledBeforeStart(
  run: MovesRun,
  { startAt }: EvacuationRequest,
  stands: () => void,
): Promise<boolean> {
  const wait = startAt === null ? 0 : Date.parse(startAt) - Date.now();
  if (wait <= 0) return false;
  stands();
  run.waitFor(`its start at ${startAt}`);
  const cancelled = await condition(() => run.stopping !== null, wait);
  run.waitFor(null);
  return cancelled;
}
