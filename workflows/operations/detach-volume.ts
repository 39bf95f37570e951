import * as z from 'zod';
import { nbdConnection } from '../../model/connection.ts';
import { nodeOf } from '../../model/ids.ts';
import { attachmentExportName, deviceName } from '../../model/names.ts';
import { computeSteps, registry, storageSteps } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, releaseSeconds, runOperation } from './run-operation.ts';

export const detachVolumeRequest = operationRequest.extend({ attachmentId: z.uuid() });

/**
 * Ends an attachment: where the hypervisor has a compute worker the guest lets go of the disk first; then the export ends, whoever is
 * connected, and the volume is available again. When the guest keeps it, or a node cannot be told, all stays as it was.
 */
export async function detachVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, attachmentId } = parsed(detachVolumeRequest, input);
  const ticket = { volumeId, attachmentId, owner: workflowOwner() };
  await runOperation({
    begin: async () => {
      const attachment = await registry.beginDetach({ ...ticket, tenantId: asTenant ?? undefined });
      const [volume, hasWorker] = await Promise.all([
        registry.findVolume({ volumeId }),
        registry.hasComputeWorker({ name: attachment.computeHost }),
      ]);
      return { attachment, volume, hasWorker };
    },
    work: async ({ attachment, volume, hasWorker }) => {
      const { computeHost, instanceId } = attachment;
      if (hasWorker) {
        await computeSteps(computeHost, releaseSeconds).detachDisk.executeWithOptions(
          { summary: `take the disk out of instance ${instanceId}` },
          [{ instance: instanceId, volumeId }],
        );
      }
      const known = nbdConnection.safeParse(attachment.connection).data;
      await storageSteps(nodeOf(volume.host), patienceSeconds).removeExport.executeWithOptions(
        { summary: `end the export of ${deviceName(volume)} on ${volume.host}` },
        [{ backEnd: volume.host, exportName: known?.exportName ?? attachmentExportName(attachmentId) }],
      );
    },
    finish: () => registry.finishDetach(ticket),
    fail: (reason) => registry.failDetach({ ...ticket, reason }),
  });
}
