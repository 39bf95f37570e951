import { randomUUID } from 'node:crypto';
import { FerryError } from '../model/errors.ts';
import { repairRequest, type RepairReport, type RepairRequestInput } from '../model/repair.ts';
import { controlQueue } from '../model/names.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

export function repairCommands(context: Context) {
  return {
    /**
     * Looks now for what nobody carries on, as the schedule does every minute, repairs it and tells what was found. With `dryRun`
     * nothing is changed. May be repeated, also while another look is under way.
     */
    async repair(input: RepairRequestInput = {}): Promise<RepairReport> {
      requireAdmin(context.identity, 'repair');
      const request = parseInput(repairRequest, input);
      if (request.device && request.volumeId === undefined)
        throw new FerryError('InvalidInput', 'A device is chosen for one volume: name it with --volume.');
      const temporal = await context.temporal();
      const { waitForControlWorker } = await import('./control-worker.ts');
      const { workflowResult } = await import('./workflow-result.ts');
      await waitForControlWorker(temporal);
      const handle = await temporal.call((client) =>
        client.workflow.start<(input: RepairRequestInput) => Promise<RepairReport>>('reconcile', {
          workflowId: `reconcile-${randomUUID()}`,
          taskQueue: controlQueue,
          staticSummary: request.dryRun ? 'look for what nobody carries on' : 'repair what nobody carries on',
          args: [request],
        }),
      );
      return workflowResult(temporal, handle);
    },
  };
}
