import { ApplicationFailure, continueAsNew, workflowInfo } from '@temporalio/workflow';
import * as z from 'zod';
import { balanceRequest, type MovesReport } from '../model/evacuation.ts';
import { moves } from './activities.ts';
import { answeringForPlan } from './moves/answer-plan.ts';
import { carryOutMoves } from './moves/carry-out-moves.ts';
import { MovesRun, type Resumed } from './moves/moves-run.ts';

/** Evens out the fill levels of the back ends of a zone, or of each zone: plans once, then moves each volume by `migrateVolume`. */
export async function balanceBackEnds(input: unknown, resumed: Resumed | null = null): Promise<MovesReport> {
  const parsed = balanceRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const request = parsed.data;
  const source = request.zone ?? 'all';
  const planId = workflowInfo().firstExecutionRunId;
  const run = new MovesRun({ planId, source, settings: request, windowSeconds: null }, resumed);
  return answeringForPlan(planId, async (stands) => {
    if (!resumed) await run.tallied(await moves.writeBalancePlan({ planId, request }));
    stands();
    const outcome = await carryOutMoves(run, null, (state) => continueAsNew<typeof balanceBackEnds>(input, state));
    await moves.finishPlan.executeWithOptions({ summary: `record: ${outcome}` }, [{ planId, outcome }]);
    return { planId, source, outcome, tally: run.state.tally };
  });
}
