import { CancellationScope, setCurrentDetails, sleep } from '@temporalio/workflow';
import * as z from 'zod';
import { connection as connectionSchema, diskSource } from '../../model/connection.ts';
import { nodeOf } from '../../model/ids.ts';
import { attachmentExportName, deviceName } from '../../model/names.ts';
import type { Volume } from '../../model/volume.ts';
import { computeSteps, registry, storageSteps } from '../activities.ts';
import { diskOf } from '../disk-of.ts';
import { reasonOf } from '../failures.ts';
import { workflowOwner } from '../owner.ts';
import { answers, assertNobodyLeft } from './assert-nobody-left.ts';
import { operationRequest, parsed, patienceSeconds, releaseSeconds, runOperation } from './run-operation.ts';

export const detachVolumeRequest = operationRequest.extend({
  attachmentId: z.uuid(),
  /** The attachment was named by its id: an instance that is called otherwise by now is meant all the same. */
  evenIfRenamed: z.boolean().default(false),
  /** An operator declared the hypervisor gone for good: whether its export ends though somebody is connected. Null: it is not gone. */
  hypervisorGone: z.enum(['unless-connected', 'even-if-connected']).nullable().default(null),
  /** What a client has said to have attached stays so, and only loses its connection. */
  connectionOnly: z.boolean().default(false),
});

/**
 * Ends an attachment: where the hypervisor has a compute worker, and no client does it, the guest lets go of the disk first; then the export ends, and the volume
 * is available again. Nobody is cut off: when the guest keeps it, somebody else uses it or is connected (`VolumeInUse`), or a node does not
 * answer, all stays as it was. A hypervisor that is gone for good is not asked: the end of the export keeps its guest out, and an operator
 * may say that whoever is connected is cut off.
 */
export async function detachVolume(input: unknown): Promise<void> {
  const request = parsed(detachVolumeRequest, input);
  const { volumeId, asTenant, attachmentId, evenIfRenamed, hypervisorGone, connectionOnly } = request;
  const ticket = { volumeId, attachmentId, owner: workflowOwner() };
  await runOperation({
    begin: async () => {
      const attachment = await registry.beginDetach({ ...ticket, tenantId: asTenant ?? undefined });
      const [volume, hasWorker] = await Promise.all([
        registry.findVolume({ volumeId }),
        registry.hasComputeWorker({ name: attachment.computeHost }),
      ]);
      return { attachment, volume, hasWorker: hasWorker && hypervisorGone === null && !attachment.isClients };
    },
    work: async ({ attachment, volume, hasWorker }) => {
      const { computeHost, instanceId } = attachment;
      const connection = connectionSchema.safeParse(attachment.connection).data;
      if (hasWorker) {
        await assertNodeAnswers(volume);
        await computeSteps(computeHost, releaseSeconds).detachDisk.executeWithOptions(
          { summary: `take the disk out of instance ${instanceId}` },
          [{ ...diskOf(attachment, connection), source: connection ? diskSource(connection) : null, evenIfRenamed }],
        );
      }
      const exportName = connection?.protocol === 'nbd' ? connection.exportName : attachmentExportName(attachmentId);
      const end = () => endExport(volume, exportName, hypervisorGone === 'even-if-connected');
      if (hypervisorGone === 'unless-connected') await assertNobodyConnected(volume, exportName);
      // Whoever is still there is another guest, or the same one under another name, and writes.
      if (hasWorker) await assertNobodyLeft(volume, exportName);
      // The guest has let go of it for good: from here on there is only one way, but over nobody else.
      await (hasWorker ? CancellationScope.nonCancellable(() => untilDone(end, volume.host)) : end());
      if (!hasWorker) await assertNobodyLeft(volume, exportName, { mustAnswer: true });
    },
    finish: () => registry.finishDetach({ ...ticket, ...(connectionOnly ? { connectionOnly } : {}) }),
    fail: (reason) => registry.failDetach({ ...ticket, reason }),
  });
}

/** A guest must not lose its disk for a detach that cannot be ended: the storage node is asked first. */
async function assertNodeAnswers(volume: Volume): Promise<void> {
  const { host: backEnd, id: volumeId, sizeBytes } = volume;
  try {
    await storageSteps(nodeOf(backEnd), patienceSeconds).locateVolume.executeWithOptions(
      { summary: `does the storage node of ${backEnd} answer?` },
      [{ backEnd, deviceName: deviceName(volume), volumeId, sizeBytes }],
    );
  } catch (error) {
    // That there is no such device is an answer, too.
    if (!answers.has(reasonOf(error).type)) throw error;
  }
}

/** As `assertNobodyLeft`, before the export ends and without the guest's word: a storage node that does not answer is no witness. */
function assertNobodyConnected({ host: backEnd, ...volume }: Volume, exportName: string): Promise<void> {
  return storageSteps(nodeOf(backEnd), patienceSeconds).checkUnused.executeWithOptions(
    { summary: `see that nobody is connected to ${deviceName(volume)}: its hypervisor is gone` },
    [{ backEnd, deviceName: deviceName(volume), exportName }],
  );
}

/** `cut`: whoever is connected. */
function endExport({ host: backEnd, ...volume }: Volume, exportName: string, cut: boolean): Promise<void> {
  return storageSteps(nodeOf(backEnd), patienceSeconds).removeExport.executeWithOptions(
    { summary: `end the export of ${deviceName(volume)} on ${backEnd}` },
    [{ backEnd, exportName, ...(cut ? { cut } : {}) }],
  );
}

/** A node that is away is waited for, however long. Somebody who is connected is not: he came while it could not be asked, and stays. */
async function untilDone(step: () => Promise<void>, host: string): Promise<void> {
  for (;;) {
    try {
      await step();
      return setCurrentDetails('');
    } catch (error) {
      if (reasonOf(error).type === 'VolumeInUse') throw error;
      setCurrentDetails(`The guest has let go. Waits for the storage node of ${host}: ${reasonOf(error).message}`);
      await sleep('15s');
    }
  }
}
