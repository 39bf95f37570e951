import { randomUUID } from 'node:crypto';
import { FerryError, type Reason } from '../model/errors.ts';
import type { MigrationRequestInput } from '../model/migration.ts';
import { controlQueue } from '../model/names.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { workflowResult } from './workflow-result.ts';

/**
 * What the nodes see that would keep a volume from moving. `unasked`: nobody is there who could ask them, and why; the same would keep
 * a migration from being started.
 */
export async function examineMove(
  context: Context,
  { volumeId, destination, forceHostCopy }: Pick<MigrationRequestInput, 'volumeId' | 'destination' | 'forceHostCopy'>,
): Promise<{ reasons: Reason[]; unasked: string | null }> {
  try {
    const temporal = await context.temporal();
    await waitForControlWorker(temporal, 0);
    const handle = await temporal.call((client) =>
      client.workflow.start<(input: object) => Promise<{ reasons: Reason[] }>>('examineMove', {
        taskQueue: controlQueue,
        workflowId: `examine/${volumeId}/${randomUUID()}`,
        staticSummary: `ask the nodes whether volume ${volumeId} could move to ${destination}`,
        args: [{ volumeId, destination, forceHostCopy }],
      }),
    );
    return { ...(await workflowResult(temporal, handle)), unasked: null };
  } catch (error) {
    if (!(error instanceof FerryError) || error.type !== 'ServiceUnreachable') throw error;
    return { reasons: [], unasked: error.message };
  }
}
