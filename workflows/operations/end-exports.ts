import * as z from 'zod';
import { backEndName, nodeOf } from '../../model/ids.ts';
import { label } from '../../model/text.ts';
import type { Reason } from '../../model/errors.ts';
import { storageSteps } from '../activities.ts';
import { reasonOf } from '../failures.ts';
import { parsed, patienceSeconds } from './run-operation.ts';

const endExportsRequest = z.object({
  exports: z.array(z.object({ backEnd: backEndName, exportName: label.min(1) })).max(1000),
});

/**
 * Ends exports of attachments that the registry does not have any more: the fence against a guest that nobody saw. Nobody is cut off. Returns
 * why some are still there. May be repeated.
 */
export async function endExports(input: unknown): Promise<{ left: Reason[] }> {
  const { exports } = parsed(endExportsRequest, input);
  const left: Reason[] = [];
  await Promise.all(
    exports.map(async ({ backEnd, exportName }) => {
      try {
        await storageSteps(nodeOf(backEnd), patienceSeconds).removeExport.executeWithOptions(
          { summary: `end the export ${exportName} on ${backEnd}: its attachment is forgotten` },
          [{ backEnd, exportName }],
        );
      } catch (error) {
        const { type, message } = reasonOf(error);
        left.push({ type, message: `The export ${exportName} on ${backEnd} is still there: ${message}` });
      }
    }),
  );
  return { left };
}
