import { ApplicationFailure, patched } from '@temporalio/workflow';
import * as z from 'zod';
import type { FerryErrorType } from '../../model/errors.ts';
import { backEndName, nodeOf, tenantId, volumeId } from '../../model/ids.ts';
import { labelTags } from '../../model/device.ts';
import { deviceName } from '../../model/names.ts';
import { label, metadata } from '../../model/text.ts';
import { volumeTypeName } from '../../model/volume-type.ts';
import { registry, repair, storageSteps } from '../activities.ts';
import { findOrphans } from '../find-orphans.ts';
import { workflowOwner } from '../owner.ts';
import { disownVolume } from './disown-volume.ts';
import { parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const manageVolumeRequest = z.object({
  volumeId,
  tenantId,
  /** Who takes it over. */
  userId: label.min(1).nullable().default(null),
  backEnd: backEndName,
  /** The device's name as it is now. */
  deviceName: label.min(1),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  bootable: z.boolean().default(false),
  /** The id that its device is to be named after, when that is not its own: of a volume that moved before it came to Ferry. */
  nameId: z.uuid().nullable().default(null),
  volumeType: volumeTypeName.nullable().default(null),
  metadata: metadata.default({}),
  readOnly: z.boolean().nullable().default(null),
  /** The snapshots that the device may have: they are managed next. */
  snapshots: z.array(label.min(1)).default([]),
  /** It counts, but is not refused: the tenant had it before. */
  beyondQuota: z.boolean().default(false),
});

/**
 * Makes a device that is there already a volume, where it is. One of Ferry's own that the registry has lost is the volume that it
 * was, if no other device, on whichever node, may be newer. Any other gets the volume's name and tag, its bytes are not touched. When it fails the device has its old name and there is no
 * volume.
 */
export async function manageVolume(input: unknown): Promise<{ volumeId: string }> {
  const request = parsed(manageVolumeRequest, input);
  const { backEnd, snapshots } = request;
  const ticket = { volumeId: request.volumeId, owner: workflowOwner() };
  const node = storageSteps(nodeOf(backEnd), patienceSeconds);
  const newName = deviceName({ id: request.volumeId, nameId: request.nameId });
  const device = { backEnd, deviceName: request.deviceName, newName, volumeId: request.volumeId, snapshots };
  const look = async () => {
    const { sizeBytes, lost } = await node.inspectStranger({ backEnd, deviceName: request.deviceName, snapshots });
    if (!lost) {
      await registry.beginManage({ ...request, ...ticket, sizeBytes });
      return { sizeBytes, lostVolumeId: null };
    }
    await refuseUnlessNewest(lost.volumeId, { backEnd, deviceName: request.deviceName });
    const found = { ...lost, tenantId: lost.tenantId ?? request.tenantId, backEnd, deviceName: request.deviceName };
    await repair.adoptFoundDevice.executeWithOptions(
      { summary: `volume ${lost.volumeId} is on ${backEnd}, says its device` },
      [{ ...found, written: null }],
    );
    return { sizeBytes, lostVolumeId: lost.volumeId };
  };
  let identity: string | undefined;
  const volumeId = await runOperation({
    // All that may refuse it: whoever asks hears of it at once.
    begin: look,
    work: async ({ sizeBytes, lostVolumeId }) => {
      if (lostVolumeId !== null) return lostVolumeId;
      const adopted = await node.adoptDevice.executeWithOptions(
        { summary: `adopt ${request.deviceName} on ${backEnd}` },
        [{ ...device, sizeBytes, labels: labelTags(request), owner: ticket.owner }],
      );
      identity = adopted.identity;
      return request.volumeId;
    },
    finish: async (_volumeId, { lostVolumeId }) => {
      if (lostVolumeId === null)
        await registry.finishManage({ ...ticket, ...(identity === undefined ? {} : { identity }) });
    },
    fail: async (reason) => {
      await registry.failManage({ ...ticket, reason });
      await disownVolume({ volumeId: request.volumeId, backEnd, name: request.deviceName });
    },
  });
  return { volumeId };
}

/** The registry cannot tell which of a lost volume's devices holds what was written last: all nodes are asked, as the repair does. */
async function refuseUnlessNewest(lostId: string, at: { backEnd: string; deviceName: string }): Promise<void> {
  if (!patched('all nodes are asked before a lost device is the volume again')) return;
  const { volumes } = await findOrphans({ volumeId: lostId, orphanGraceSeconds: undefined });
  const told = volumes.find(({ told: { volumeId } }) => volumeId === lostId)?.told;
  // Deleted or unmanaged by what is on record: whoever names its device knows better.
  if (!told || (told.to?.backEnd === at.backEnd && told.to.deviceName === at.deviceName)) return;
  const newest = told.to && `; its newest device is ${told.to.deviceName} on ${told.to.backEnd}`;
  throw ApplicationFailure.nonRetryable(
    `${at.deviceName} on ${at.backEnd} is not volume ${lostId} without a look at its others: ${told.why}${newest ?? ''}. See: ferry repair --volume ${lostId} --dry-run`,
    'NeedsRepair' satisfies FerryErrorType,
  );
}
