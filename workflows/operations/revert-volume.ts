import { ApplicationFailure, patched } from '@temporalio/workflow';
import * as z from 'zod';
import type { FerryErrorType } from '../../model/errors.ts';
import { nodeOf } from '../../model/ids.ts';
import { liveDevice, snapshotDeviceName } from '../../model/names.ts';
import { registry } from '../activities.ts';
import { lookAtDevice } from '../look-at-device.ts';
import { workflowOwner } from '../owner.ts';
import { copyFrom } from './fill-volume.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageWork } from './storage-work.ts';

export const revertVolumeRequest = operationRequest.extend({ snapshotId: z.uuid() });

/**
 * Puts the bytes of a volume's last snapshot back into it. From the first byte until all were read back its device says that it is not
 * whole, and nobody gets it; when it fails in between the volume is in `error`, the snapshot stays, and the same again makes it whole.
 */
export async function revertVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, snapshotId } = parsed(revertVolumeRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  let untouched = true;
  await runOperation({
    begin: () => registry.beginRevert({ ...ticket, snapshotId, tenantId: asTenant ?? undefined }),
    work: async ({ volume, origin }) => {
      const { owner } = ticket;
      const { sizeBytes } = volume;
      const work = storageWork(nodeOf(volume.host));
      const live = liveDevice(volume);
      const there = { backEnd: live.backEnd, deviceName: live.deviceName, volumeId, owner };
      // With what was not there from the beginning, nothing is begun.
      if (patched('the snapshot is looked for before its volume is touched'))
        await mustBeThere(volume.host, snapshotId);
      // What of the device was changed is not known any more once its node was told to.
      untouched = volume.previousStatus !== 'error';
      const { identity } = await work.unsettleDevice.executeWithOptions(
        { summary: `from now on ${live.deviceName} is not whole` },
        [{ ...live, owner, sizeBytes }],
      );
      untouched = false;
      await copyFrom({ ...there, origin, readsZero: false });
      await work.completeDevice.executeWithOptions({ summary: `it is whole: it is volume ${volumeId} again` }, [
        { ...there, generation: volume.generation, identity, sizeBytes },
      ]);
    },
    finish: () => registry.finishRevert(ticket),
    fail: (reason) =>
      registry.failRevert({ ...ticket, reason, untouched: untouched && untouchedTypes.has(reason.type) }),
  });
}

/** What the storage refuses before it has changed anything. */
const untouchedTypes: ReadonlySet<string> = new Set([
  'VolumeInUse',
  'SizeMismatch',
  'BackEndNotFound',
  'WrongDevice',
  'NeedsRepair',
  'NotOwned',
  'DeviceMissing',
]);

async function mustBeThere(backEnd: string, snapshotId: string): Promise<void> {
  const deviceName = snapshotDeviceName(snapshotId);
  if (await lookAtDevice(backEnd, deviceName)) return;
  throw ApplicationFailure.nonRetryable(
    `The volume does not go back to snapshot ${snapshotId}: there is no ${deviceName} on ${backEnd}. It is as it was.`,
    'DeviceMissing' satisfies FerryErrorType,
  );
}
