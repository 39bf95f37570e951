import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { snapshotTag } from '../../model/device.ts';
import { deviceName, liveDevice, snapshotDeviceName } from '../../model/names.ts';
import { label, metadata } from '../../model/text.ts';
import { registry } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageWork } from './storage-work.ts';

export const createSnapshotRequest = operationRequest.extend({
  snapshotId: z.uuid(),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  /** Of a volume in use as well: what the guest has not flushed is not in it. */
  force: z.boolean().default(false),
  metadata: metadata.default({}),
  userId: label.min(1).nullable().default(null),
});

/** Keeps the volume's bytes as they are now. When it fails the snapshot stays, with status `error`, to be deleted. */
export async function createSnapshot(input: unknown): Promise<{ snapshotId: string }> {
  const { asTenant, ...wanted } = parsed(createSnapshotRequest, input);
  const { volumeId, snapshotId } = wanted;
  const ticket = { volumeId, snapshotId, owner: workflowOwner() };
  await runOperation({
    begin: async () => {
      await registry.beginSnapshot({ ...wanted, ...ticket, tenantId: asTenant ?? undefined });
      return registry.findVolume({ volumeId });
    },
    work: (volume) =>
      storageWork(nodeOf(volume.host)).snapshotDevice.executeWithOptions(
        { summary: `snapshot ${deviceName(volume)} on ${volume.host}` },
        [
          {
            ...liveDevice(volume),
            sizeBytes: volume.sizeBytes,
            snapshotName: snapshotDeviceName(snapshotId),
            tags: [snapshotTag(snapshotId)],
            owner: ticket.owner,
          },
        ],
      ),
    finish: () => registry.finishSnapshot(ticket),
    fail: (reason) => registry.failSnapshot({ ...ticket, reason }),
  });
  return { snapshotId };
}
