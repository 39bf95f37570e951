import * as z from 'zod';
import type { Connection } from '../../model/connection.ts';
import { guestDevice, instanceId, nodeName, nodeOf } from '../../model/ids.ts';
import { attachmentExportName, deviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import type { Volume } from '../../model/volume.ts';
import { registry, storageSteps } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const attachVolumeRequest = operationRequest.extend({
  attachmentId: z.uuid(),
  instanceId,
  computeHost: nodeName,
  mode: z.enum(['rw', 'ro']).default('rw'),
  /** As the guest shall know it, e.g. `vdb`. */
  device: guestDevice.nullable().default(null),
});

/**
 * Attaches a volume: reserves it for the instance and exports it for the instance's hypervisor, one client only. The answer says
 * how to connect. When it fails nothing is left: the volume is available again.
 */
export async function attachVolume(input: unknown): Promise<{ attachmentId: string; connection: Connection }> {
  const { asTenant, ...wanted } = parsed(attachVolumeRequest, input);
  const { volumeId, attachmentId, mode } = wanted;
  const ticket = { volumeId, attachmentId, owner: workflowOwner() };
  const exportName = attachmentExportName(attachmentId);
  const at = (volume: Volume) => ({ backEnd: volume.host, deviceName: deviceName(volume) });
  const steps = (volume: Volume) => storageSteps(nodeOf(volume.host), patienceSeconds);
  return runOperation({
    begin: async () => {
      await registry.beginAttach({ ...wanted, ...ticket, tenantId: asTenant ?? undefined });
      return registry.findVolume({ volumeId });
    },
    work: async (volume) => {
      const address = await steps(volume).exportVolume.executeWithOptions(
        { summary: `export ${deviceName(volume)} from ${volume.host} to ${wanted.computeHost}` },
        [{ ...at(volume), volumeId, exportName, sizeBytes: volume.sizeGib * gib, writable: mode === 'rw' }],
      );
      return {
        attachmentId,
        connection: { protocol: 'nbd' as const, ...address, backEnd: volume.host, device: deviceName(volume) },
      };
    },
    finish: ({ connection }) =>
      registry.finishAttach({ ...ticket, device: wanted.device, connection: { ...connection } }),
    fail: async (reason, volume) => {
      // A node that is away has no exports when it is back, and the next attach ends what there is.
      await steps(volume)
        .removeExport({ backEnd: volume.host, exportName })
        .catch(() => undefined);
      await registry.failAttach({ ...ticket, reason });
    },
  });
}
