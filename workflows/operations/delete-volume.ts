import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { deviceName } from '../../model/names.ts';
import type { KeptDevice } from '../../model/kept-source.ts';
import { registry } from '../activities.ts';
import { removeKeptSources } from '../kept-sources.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageDeletion } from './storage-work.ts';

export const deleteVolumeRequest = operationRequest.extend({
  /** Also from statuses in which it usually has work to do. Never while it is attached, has snapshots or migrates. */
  force: z.boolean().default(false),
});

/**
 * Deletes a volume: its exports end, its device goes, then its row. A device that is not there is no obstacle. When the device stays,
 * so does the row, with status `error_deleting`; delete it again when the cause is gone. What was kept of it is removed by its own workflow:
 * its node may be away.
 */
export async function deleteVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, force } = parsed(deleteVolumeRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  let kept: KeptDevice[] | undefined;
  await runOperation({
    begin: () => registry.beginDelete({ ...ticket, tenantId: asTenant ?? undefined, force }),
    work: (volume) =>
      storageDeletion(nodeOf(volume.host)).deleteDevice.executeWithOptions(
        { summary: `delete ${deviceName(volume)} on ${volume.host}` },
        [{ backEnd: volume.host, deviceName: deviceName(volume), volumeId }],
      ),
    finish: async () => void (kept = await registry.finishDelete(ticket)),
    fail: (reason) => registry.failDelete({ ...ticket, reason }),
  });
  // Those that were deleted before there were any were not told of them.
  await removeKeptSources(kept ?? []);
}
