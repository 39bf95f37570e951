import { connection as connectionSchema, diskSource } from '../model/connection.ts';
import type { Reason } from '../model/errors.ts';
import { nodeOf } from '../model/ids.ts';
import { attachmentExportName } from '../model/names.ts';
import type { VolumeUsers } from '../model/volume-users.ts';
import { computeSteps, registry, storageSteps } from './activities.ts';
import { reasonOf } from './failures.ts';

/**
 * Asks who has an attached volume: the hypervisor of each attachment, of all of its instances, running or not; the storage node, of who is
 * connected to the attachment's export, and who has the device open. All at once, `patienceSeconds` at most; changes nothing.
 */
export async function askUsers(volumeId: string, patienceSeconds: number): Promise<VolumeUsers> {
  const { at, attachments } = await registry.factsOfMove({ volumeId });
  const ids = attachments.map(({ id }) => id);
  const found: VolumeUsers = { users: [], silent: [], attachments: ids, exports: [] };
  const ask = async (whom: string, question: () => Promise<Reason[]>) => {
    try {
      found.users.push(...(await question()));
    } catch (error) {
      const reason = reasonOf(error);
      if (reason.type === 'VolumeInUse') found.users.push(reason);
      else found.silent.push({ type: 'NodeUnavailable', message: `${whom} does not tell: ${reason.message}` });
    }
  };
  const asked: Promise<void>[] = [];
  for (const { id, computeHost, hasComputeWorker, ...attachment } of attachments) {
    const connection = connectionSchema.safeParse(attachment.connection).data;
    if (hasComputeWorker)
      asked.push(
        ask(`the hypervisor ${computeHost}`, () =>
          computeSteps(computeHost, patienceSeconds).examineHolders.executeWithOptions(
            { summary: `which instance has volume ${volumeId}?` },
            [{ volumeId, source: connection ? diskSource(connection) : null }],
          ),
        ),
      );
    // Of what is nowhere there is nobody to ask.
    if (at.state !== 'there') continue;
    const { backEnd, deviceName } = at;
    const exportName = connection?.protocol === 'nbd' ? connection.exportName : attachmentExportName(id);
    found.exports.push({ backEnd, exportName });
    asked.push(
      ask(`the storage node of ${backEnd}`, async () => {
        await storageSteps(nodeOf(backEnd), patienceSeconds).checkUnused.executeWithOptions(
          { summary: `does anybody use ${deviceName}?` },
          [{ backEnd, deviceName, exportName }],
        );
        return [];
      }),
    );
  }
  await Promise.all(asked);
  return found;
}
