import * as z from 'zod';
import { backEndName, nodeOf, tenantId, volumeId } from '../../model/ids.ts';
import { deviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { label } from '../../model/text.ts';
import { registry, storageSteps } from '../activities.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { workflowOwner } from '../owner.ts';
import { disownVolume } from './disown-volume.ts';
import { parsed, patienceSeconds, runOperation } from './run-operation.ts';

export const manageVolumeRequest = z.object({
  volumeId,
  tenantId,
  backEnd: backEndName,
  /** The device's name as it is now. */
  deviceName: z.string().min(1).max(255),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  bootable: z.boolean().default(false),
});

/**
 * Makes a device that is there already a volume, where it is: it gets the volume's name and tag, its bytes are not touched. When it
 * fails the device has its old name and there is no volume.
 */
export async function manageVolume(input: unknown): Promise<{ volumeId: string }> {
  const request = parsed(manageVolumeRequest, input);
  const { backEnd } = request;
  const ticket = { volumeId: request.volumeId, owner: workflowOwner() };
  const node = storageSteps(nodeOf(backEnd), patienceSeconds);
  const newName = deviceName({ id: request.volumeId, nameId: null });
  const device = { backEnd, deviceName: request.deviceName, newName, volumeId: request.volumeId };
  const { sizeBytes } = await node
    .inspectStranger({ backEnd, deviceName: request.deviceName })
    .catch((error: unknown) => {
      throw failureOf(reasonOf(error));
    });
  await runOperation({
    begin: () => registry.beginManage({ ...request, ...ticket, sizeGib: sizeBytes / gib }),
    work: () =>
      node.adoptDevice.executeWithOptions({ summary: `adopt ${request.deviceName} on ${backEnd}` }, [
        { ...device, sizeBytes },
      ]),
    finish: () => registry.finishManage(ticket),
    fail: async (reason) => {
      await registry.failManage({ ...ticket, reason });
      await disownVolume({ volumeId: request.volumeId, backEnd, name: request.deviceName });
    },
  });
  return { volumeId: request.volumeId };
}
