import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { snapshotDeviceName } from '../../model/names.ts';
import { registry } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageDeletion } from './storage-work.ts';

export const deleteSnapshotRequest = operationRequest.extend({
  snapshotId: z.uuid(),
  /** Whatever it is shown as. */
  force: z.boolean().default(false),
});

/** Deletes a snapshot; one whose device is not there as well. When the device stays, the snapshot is `error_deleting`. */
export async function deleteSnapshot(input: unknown): Promise<void> {
  const { volumeId, asTenant, snapshotId, force } = parsed(deleteSnapshotRequest, input);
  const ticket = { volumeId, snapshotId, owner: workflowOwner() };
  const name = snapshotDeviceName(snapshotId);
  await runOperation({
    begin: async () => {
      await registry.beginSnapshotDelete({ ...ticket, tenantId: asTenant ?? undefined, force });
      return registry.findVolume({ volumeId });
    },
    work: (volume) =>
      storageDeletion(nodeOf(volume.host)).deleteSnapshotDevice.executeWithOptions(
        { summary: `delete ${name} on ${volume.host}` },
        [{ backEnd: volume.host, deviceName: name, snapshotId }],
      ),
    finish: () => registry.finishSnapshotDelete(ticket),
    fail: (reason) => registry.failSnapshotDelete({ ...ticket, reason }),
  });
}
