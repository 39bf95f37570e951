import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { liveDevice, snapshotDeviceName } from '../../model/names.ts';
import { label, metadata } from '../../model/text.ts';
import { registry, storageSteps } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const manageSnapshotRequest = operationRequest.extend({
  snapshotId: z.uuid(),
  /** The device's name as it is now, on the volume's back end. */
  deviceName: label.min(1),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  metadata: metadata.default({}),
  userId: label.min(1).nullable().default(null),
  /** It counts, but is not refused: the tenant had it before. */
  beyondQuota: z.boolean().default(false),
});

/** Makes a device that is there already a snapshot of the volume. When it fails the device is as it was, and there is no snapshot. */
export async function manageSnapshot(input: unknown): Promise<{ snapshotId: string }> {
  const { asTenant, deviceName: from, ...wanted } = parsed(manageSnapshotRequest, input);
  const { volumeId, snapshotId } = wanted;
  const ticket = { volumeId, snapshotId, owner: workflowOwner() };
  await runOperation({
    begin: () => registry.beginSnapshotManage({ ...wanted, ...ticket, tenantId: asTenant ?? undefined }),
    work: (volume) =>
      storageSteps(nodeOf(volume.host), patienceSeconds).adoptSnapshot.executeWithOptions(
        { summary: `make ${from} on ${volume.host} ${snapshotDeviceName(snapshotId)}` },
        [{ ...liveDevice(volume), owner: ticket.owner, sizeBytes: volume.sizeBytes, snapshotId, from }],
      ),
    finish: () => registry.finishSnapshotManage(ticket),
    fail: (reason) => registry.failSnapshotManage({ ...ticket, reason }),
  });
  return { snapshotId };
}
