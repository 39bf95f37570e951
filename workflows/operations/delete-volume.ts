import { ApplicationFailure } from '@temporalio/workflow';
import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import type { Volume } from '../../model/volume.ts';
import { liveDevice, snapshotDeviceName } from '../../model/names.ts';
import type { KeptDevice } from '../../model/kept-source.ts';
import { registry } from '../activities.ts';
import { removeKeptSources } from '../kept-sources.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageDeletion } from './storage-work.ts';

export const deleteVolumeRequest = operationRequest.extend({
  /** Also from statuses in which it usually has work to do. Never while it is attached, has snapshots or migrates. */
  force: z.boolean().default(false),
  /** Its snapshots go first. */
  cascade: z.boolean().default(false),
});

/** What the storage refuses before it has changed anything. */
const untouchedTypes: ReadonlySet<string> = new Set(['DeviceMissing', 'WrongDevice', 'NeedsRepair', 'NotOwned']);

/**
 * Deletes a volume: its exports end, its device goes, then its row. A device that was there and is not any more may be somewhere else, and the
 * registry not know: that is refused unless forced. When the device stays, so does the row, with status `error_deleting`; delete it again when the cause is gone. What was kept of it is removed by its own workflow:
 * its node may be away.
 */
export async function deleteVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, force, cascade } = parsed(deleteVolumeRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  let kept: KeptDevice[] | undefined;
  await runOperation({
    begin: () => registry.beginDelete({ ...ticket, tenantId: asTenant ?? undefined, force, cascade }),
    work: async (volume) => {
      const node = storageDeletion(nodeOf(volume.host));
      const at = liveDevice(volume);
      const isThere = await node.hasDevice.executeWithOptions({ summary: `is ${at.deviceName} on ${volume.host}?` }, [
        at,
      ]);
      if (!isThere && !force && mustBeThere(volume)) throw missing(at);
      for (const snapshotId of volume.snapshotIds ?? []) {
        const name = snapshotDeviceName(snapshotId);
        const summary = `delete ${name} on ${volume.host}`;
        const of = { backEnd: volume.host, deviceName: name, snapshotId };
        await node.deleteSnapshotDevice.executeWithOptions({ summary }, [of]);
      }
      await node.deleteDevice.executeWithOptions({ summary: `delete ${at.deviceName} on ${volume.host}` }, [
        { ...at, owner: ticket.owner },
      ]);
    },
    finish: async () => void (kept = await registry.finishDelete(ticket)),
    fail: (reason) => registry.failDelete({ ...ticket, reason, untouched: untouchedTypes.has(reason.type) }),
  });
  // Those that were deleted before there were any were not told of them.
  await removeKeptSources(kept ?? []);
}

/** One that was never made, or whose deletion came so far before, need not be. */
function mustBeThere({ deviceIdentity, previousStatus }: Volume): boolean {
  return deviceIdentity !== null && previousStatus !== 'error' && previousStatus !== 'error_deleting';
}

function missing({ backEnd, deviceName, volumeId }: ReturnType<typeof liveDevice>): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Volume ${volumeId} is not deleted: there is no ${deviceName} on ${backEnd}, where the registry has it; it may be elsewhere. See: ferry repair --dry-run. To forget it: ferry delete ${volumeId} --force`,
    'DeviceMissing',
  );
}
