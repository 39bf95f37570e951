import { WorkflowNotFoundError } from '@temporalio/common';
import { FerryError } from '../model/errors.ts';
import { bandwidthPayload, messages, type CancelMovesPayload } from '../model/messages.ts';
import { balanceWorkflowId, evacuationWorkflowId } from '../model/names.ts';
import { findPlan } from '../registry/move-plans.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

/** The name by which a balancing is steered, as an evacuation is by its source. */
export const balancing = 'balance';

/** The workflow that moves what is on the node or back end, or balances. */
export function movesWorkflowId(source: string): string {
  return source === balancing ? balanceWorkflowId : evacuationWorkflowId(source);
}

/**
 * What an administrator may ask of a running evacuation, or of the balancing. Each answers when it is taken in; each may be repeated. None
 * runs: `NotEvacuating`.
 */
export function movesControlCommands(context: Context) {
  const send = async (source: string, message: string, argument: unknown = null): Promise<void> => {
    requireAdmin(context.identity, 'steer evacuations');
    const temporal = await context.temporal();
    try {
      await temporal.call((client) =>
        client.workflow
          .getHandle(movesWorkflowId(source))
          .executeUpdate<void, [unknown]>(message, { args: [argument] }),
      );
    } catch (error) {
      throw error instanceof WorkflowNotFoundError || (error instanceof FerryError && error.type === 'NotMigrating')
        ? await notEvacuating(context, source)
        : error;
    }
  };
  return {
    /** No move begins, and the running ones stop at their last flushed byte. */
    pauseMoves: (source: string) => send(source, messages.pauseMoves),
    resumeMoves: (source: string) => send(source, messages.resumeMoves),
    /** Begins no more; the running ones are left to end, or go back. */
    cancelMoves: (source: string, running: CancelMovesPayload['running']) =>
      send(source, messages.cancelMoves, { running }),
    /** A new cap in bytes a second for all together, or null for none. */
    setMovesBandwidth: async (source: string, bytesPerSecond: number | null) =>
      send(source, messages.setMovesBandwidth, parseInput(bandwidthPayload, bytesPerSecond)),
  };
}

/** Why there is nothing to steer: how the last one ended. */
export async function notEvacuating({ registry }: Context, source: string): Promise<FerryError> {
  const last = await findPlan(registry, source);
  const what = source === balancing ? 'Nothing is being balanced.' : `${source} is not being evacuated.`;
  const how = last?.outcome ? ` The last time ended with: ${last.outcome}.` : '';
  return new FerryError('NotEvacuating', `${what}${how}`, { lastOutcome: last?.outcome ?? null });
}
