import { sleep } from '@temporalio/workflow';
import * as z from 'zod';
import type { Connection } from '../../model/connection.ts';
import { guestDevice, instanceId, nodeName, nodeOf } from '../../model/ids.ts';
import { attachmentExportName, liveDevice } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import type { Volume } from '../../model/volume.ts';
import { computeSteps, registry, storageSteps } from '../activities.ts';
import { diskSource } from '../disk-source.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, releaseSeconds, runOperation } from './run-operation.ts';

export const attachVolumeRequest = operationRequest.extend({
  attachmentId: z.uuid(),
  instanceId,
  computeHost: nodeName,
  mode: z.enum(['rw', 'ro']).default('rw'),
  /** As the guest shall know it, e.g. `vdb`. */
  device: guestDevice.nullable().default(null),
});

/**
 * Attaches a volume: reserves it for the instance, lets the instance's hypervisor reach it, and, where that one has a compute worker,
 * puts it into the guest. The answer says how it is connected. When it fails nothing is left: the volume is available again.
 */
export async function attachVolume(input: unknown): Promise<{ attachmentId: string; connection: Connection }> {
  const { asTenant, ...wanted } = parsed(attachVolumeRequest, input);
  const { volumeId, attachmentId, computeHost } = wanted;
  const ticket = { volumeId, attachmentId, owner: workflowOwner() };
  return runOperation({
    begin: async () => {
      await registry.beginAttach({ ...wanted, ...ticket, tenantId: asTenant ?? undefined });
      const [volume, hasWorker] = await Promise.all([
        registry.findVolume({ volumeId }),
        registry.hasComputeWorker({ name: computeHost }),
      ]);
      return { volume, hasWorker };
    },
    work: async ({ volume, hasWorker }) => {
      const connection = await connect(wanted, volume, hasWorker);
      const device = hasWorker ? await putIn(wanted, connection) : wanted.device;
      return { attachmentId, connection, device };
    },
    finish: ({ connection, device }) => registry.finishAttach({ ...ticket, device, connection: { ...connection } }),
    fail: async (reason, { volume, hasWorker }) => {
      if (hasWorker) await takeOut(wanted, isLocal(wanted, volume));
      // A node that is away has no exports when it is back, and the next attach ends what there is.
      await storageSteps(nodeOf(volume.host), patienceSeconds)
        .removeExport({ backEnd: volume.host, exportName: attachmentExportName(attachmentId) })
        .catch(() => undefined);
      await registry.failAttach({ ...ticket, reason });
    },
  });
}

type Wanted = Omit<z.output<typeof attachVolumeRequest>, 'asTenant'>;

/** A hypervisor that bears a storage node's name is the same machine. */
function isLocal({ computeHost }: Wanted, volume: Volume): boolean {
  return nodeOf(volume.host) === computeHost;
}

/** Makes the way to the volume: none is needed where the hypervisor has the device, else an export with room for one client. */
async function connect(wanted: Wanted, volume: Volume, hasWorker: boolean): Promise<Connection> {
  const at = liveDevice(volume);
  const steps = storageSteps(nodeOf(volume.host), patienceSeconds);
  const sized = { ...at, sizeBytes: volume.sizeGib * gib };
  const served = { backEnd: volume.host, device: at.deviceName };
  if (hasWorker && isLocal(wanted, volume)) {
    return { protocol: 'local', ...(await steps.locateVolume({ ...sized, live: at, nobodys: true })), ...served };
  }
  const address = await steps.exportVolume.executeWithOptions(
    { summary: `export ${at.deviceName} from ${volume.host} to ${wanted.computeHost}` },
    [{ ...sized, exportName: attachmentExportName(wanted.attachmentId), writable: wanted.mode === 'rw' }],
  );
  return { protocol: 'nbd', ...address, ...served };
}

async function putIn(wanted: Wanted, connection: Connection): Promise<string> {
  const { device } = await computeSteps(wanted.computeHost, patienceSeconds).attachDisk.executeWithOptions(
    { summary: `put the disk into instance ${wanted.instanceId}` },
    [
      {
        instance: wanted.instanceId,
        volumeId: wanted.volumeId,
        source: diskSource(connection),
        device: wanted.device,
        mode: wanted.mode,
      },
    ],
  );
  return device;
}

/**
 * Takes back what an attach that failed may have put into the guest. An export that ends keeps the guest from writing in any case; without
 * one the volume stays reserved until the hypervisor answers: another guest must not get it.
 */
async function takeOut({ computeHost, instanceId, volumeId }: Wanted, mustAnswer: boolean): Promise<void> {
  const disk = { instance: instanceId, volumeId };
  for (;;) {
    try {
      return await computeSteps(computeHost, releaseSeconds).detachDisk(disk);
    } catch {
      if (!mustAnswer) return;
      await sleep('15s');
    }
  }
}
