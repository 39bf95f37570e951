import * as z from 'zod';
import { nodeOf } from '../../model/ids.ts';
import { liveDevice, snapshotDeviceName } from '../../model/names.ts';
import { registry, storageSteps } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const unmanageSnapshotRequest = operationRequest.extend({ snapshotId: z.uuid() });

/** Forgets a snapshot and leaves its device, with its bytes and under its name. */
export async function unmanageSnapshot(input: unknown): Promise<{ deviceName: string }> {
  const { volumeId, asTenant, snapshotId } = parsed(unmanageSnapshotRequest, input);
  const ticket = { volumeId, snapshotId, owner: workflowOwner() };
  const deviceName = snapshotDeviceName(snapshotId);
  await runOperation({
    begin: () => registry.beginSnapshotUnmanage({ ...ticket, tenantId: asTenant ?? undefined }),
    work: (volume) =>
      storageSteps(nodeOf(volume.host), patienceSeconds).disownSnapshot.executeWithOptions(
        { summary: `take the tags off ${deviceName} on ${volume.host}` },
        [{ ...liveDevice(volume), owner: ticket.owner, snapshotId }],
      ),
    finish: () => registry.finishSnapshotUnmanage(ticket),
    fail: (reason) => registry.failSnapshotUnmanage({ ...ticket, reason }),
  });
  return { deviceName };
}
