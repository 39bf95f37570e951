import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { deviceName } from '../../model/names.ts';
import { registry } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageDeletion } from './storage-work.ts';

export const deleteVolumeRequest = operationRequest.extend({
  /** Also from statuses in which it usually has work to do. Never while it is attached, has snapshots or migrates. */
  force: z.boolean().default(false),
});

/**
 * Deletes a volume: its exports end, its device goes, then its row. A device that is not there is no obstacle. When the device stays,
 * so does the row, with status `error_deleting`; delete it again when the cause is gone.
 */
export async function deleteVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, force } = parsed(deleteVolumeRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  await runOperation({
    begin: () => registry.beginDelete({ ...ticket, tenantId: asTenant ?? undefined, force }),
    work: (volume) =>
      storageDeletion(nodeOf(volume.host)).deleteDevice.executeWithOptions(
        { summary: `delete ${deviceName(volume)} on ${volume.host}` },
        [{ backEnd: volume.host, deviceName: deviceName(volume), volumeId }],
      ),
    finish: () => registry.finishDelete(ticket),
    fail: (reason) => registry.failDelete({ ...ticket, reason }),
  });
}
