import * as z from 'zod';
import { diskSource, type Connection } from '../../model/connection.ts';
import { guestDevice, instanceId, nodeName, nodeOf } from '../../model/ids.ts';
import { attachmentExportName, liveDevice } from '../../model/names.ts';
import type { Volume } from '../../model/volume.ts';
import { computeSteps, registry, storageSteps } from '../activities.ts';
import { reasonOf } from '../failures.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, releaseSeconds, runOperation } from './run-operation.ts';

export const attachVolumeRequest = operationRequest.extend({
  attachmentId: z.uuid(),
  instanceId,
  computeHost: nodeName,
  mode: z.enum(['rw', 'ro']).default('rw'),
  /** As the guest shall know it, e.g. `vdb`. */
  device: guestDevice.nullable().default(null),
  /** A client reserved the volume for this attachment, and puts the disk into the guest itself: it only gets a connection. */
  isClients: z.boolean().default(false),
});

/**
 * Attaches a volume: reserves it for the instance, lets the instance's hypervisor reach it, and, where that one has a compute worker,
 * puts it into the guest, unless its client does. The answer says how it is connected. When it fails nothing is left: the volume is available again as soon as
 * the hypervisor has said that no guest has the disk, and the storage node that nothing exports it.
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
      const connection = await connect({ ...wanted, owner: ticket.owner }, volume, hasWorker);
      if (!hasWorker || wanted.isClients) return { attachmentId, connection, device: wanted.device };
      const { device, domain } = await putIn(wanted, connection);
      return { attachmentId, connection: { ...connection, domain }, device };
    },
    finish: ({ connection, device }) => registry.finishAttach({ ...ticket, device, connection: { ...connection } }),
    fail: async (reason, { volume, hasWorker }) => {
      const left = [
        ...(hasWorker && !wanted.isClients ? await trying(() => takeOut(wanted), `the hypervisor ${computeHost}`) : []),
        ...(await trying(() => endExport(volume, attachmentId), `the storage node of ${volume.host}`)),
      ];
      if (left.length === 0) return registry.failAttach({ ...ticket, reason });
      // The volume stays held by this workflow, and once that has ended the reconciler takes back what is left.
      return (
        `Not all of it could be taken back yet: ${left.join('; ')}. The volume stays "attaching", so that no other guest gets it, and is ` +
        'available again once they have answered; they are asked every minute.'
      );
    },
  });
}

type Wanted = Omit<z.output<typeof attachVolumeRequest>, 'asTenant'>;

/** A hypervisor that bears a storage node's name is the same machine. */
function isLocal({ computeHost }: Wanted, volume: Volume): boolean {
  return nodeOf(volume.host) === computeHost;
}

/** Makes the way to the volume: none is needed where the hypervisor has the device, else an export with room for one client. */
async function connect(wanted: Wanted & { owner: string }, volume: Volume, hasWorker: boolean): Promise<Connection> {
  const at = liveDevice(volume);
  const steps = storageSteps(nodeOf(volume.host), patienceSeconds);
  const sized = { ...at, sizeBytes: volume.sizeBytes };
  const served = { backEnd: volume.host, device: at.deviceName };
  if (hasWorker && isLocal(wanted, volume)) {
    return { protocol: 'local', ...(await steps.locateVolume({ ...sized, live: at, nobodys: true })), ...served };
  }
  const address = await steps.exportVolume.executeWithOptions(
    { summary: `export ${at.deviceName} from ${volume.host} to ${wanted.computeHost}` },
    [
      {
        ...sized,
        exportName: attachmentExportName(wanted.attachmentId),
        writable: wanted.mode === 'rw',
        owner: wanted.owner,
      },
    ],
  );
  return { protocol: 'nbd', ...address, ...served };
}

async function putIn(wanted: Wanted, connection: Connection): Promise<{ device: string; domain: string }> {
  return computeSteps(wanted.computeHost, patienceSeconds).attachDisk.executeWithOptions(
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
}

/** What an attach that failed may have put into the guest, also when libvirt carries it out only now. */
function takeOut({ computeHost, instanceId, volumeId }: Wanted): Promise<void> {
  return computeSteps(computeHost, releaseSeconds).detachDisk.executeWithOptions(
    { summary: `take back what may have come into instance ${instanceId}` },
    [{ instance: instanceId, volumeId, takesBack: true }],
  );
}

function endExport({ host }: Volume, attachmentId: string): Promise<void> {
  return storageSteps(nodeOf(host), patienceSeconds).removeExport.executeWithOptions(
    { summary: `end the export from ${host}` },
    [{ backEnd: host, exportName: attachmentExportName(attachmentId) }],
  );
}

/** Who could not do it, and why; none if it is done. */
async function trying(step: () => Promise<void>, who: string): Promise<string[]> {
  try {
    await step();
    return [];
  } catch (error) {
    const { type, message } = reasonOf(error);
    return type === 'InstanceNotFound' ? [] : [`${who}: ${message}`];
  }
}
