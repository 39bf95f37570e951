import { FerryError, type Reason } from '../model/errors.ts';
import type { MigrationRequestInput } from '../model/migration.ts';
import { askByWorkflow } from './ask-by-workflow.ts';
import type { Context } from './context.ts';

/**
 * What the nodes see that would keep a volume from moving. `unasked`: nobody is there who could ask them, and why; the same would keep
 * a migration from being started.
 */
export async function examineMove(
  context: Context,
  { volumeId, destination, forceHostCopy }: Pick<MigrationRequestInput, 'volumeId' | 'destination' | 'forceHostCopy'>,
): Promise<{ reasons: Reason[]; unasked: string | null }> {
  try {
    const { reasons } = await askByWorkflow<{ reasons: Reason[] }>(context, {
      workflow: 'examineMove',
      volumeId,
      summary: `ask the nodes whether volume ${volumeId} could move to ${destination}`,
      input: { volumeId, destination, forceHostCopy },
    });
    return { reasons, unasked: null };
  } catch (error) {
    if (!(error instanceof FerryError) || error.type !== 'ServiceUnreachable') throw error;
    return { reasons: [], unasked: error.message };
  }
}
