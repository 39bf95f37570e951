import * as z from 'zod';
import { connection } from '../../model/connection.ts';
import { nodeOf } from '../../model/ids.ts';
import { attachmentExportName, deviceName } from '../../model/names.ts';
import { registry, storageSteps } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const detachVolumeRequest = operationRequest.extend({ attachmentId: z.uuid() });

/**
 * Ends an attachment: its export ends, whoever is connected, then the volume is available again. When the node cannot be told, all
 * stays as it was, and the export with it.
 */
export async function detachVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, attachmentId } = parsed(detachVolumeRequest, input);
  const ticket = { volumeId, attachmentId, owner: workflowOwner() };
  await runOperation({
    begin: async () => {
      const { connection: known } = await registry.beginDetach({ ...ticket, tenantId: asTenant ?? undefined });
      const exportName = connection.safeParse(known).data?.exportName ?? attachmentExportName(attachmentId);
      return { volume: await registry.findVolume({ volumeId }), exportName };
    },
    work: ({ volume, exportName }) =>
      storageSteps(nodeOf(volume.host), patienceSeconds).removeExport.executeWithOptions(
        { summary: `end the export of ${deviceName(volume)} on ${volume.host}` },
        [{ backEnd: volume.host, exportName }],
      ),
    finish: () => registry.finishDetach(ticket),
    fail: (reason) => registry.failDetach({ ...ticket, reason }),
  });
}
