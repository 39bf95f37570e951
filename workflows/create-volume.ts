import { ApplicationFailure, CancellationScope } from '@temporalio/workflow';
import * as z from 'zod';
import { backEndName, nodeOf, tenantId, volumeId } from '../model/ids.ts';
import { labelTags, liveTags } from '../model/device.ts';
import { deviceName } from '../model/names.ts';
import { sizeBytes } from '../model/sizes.ts';
import { volumeTypeName } from '../model/volume-type.ts';
import { registry } from './activities.ts';
import { failureOf, reasonOf } from './failures.ts';
import { begin } from './operations/begin.ts';
import { fillVolume } from './operations/fill-volume.ts';
import { storageWork } from './operations/storage-work.ts';
import { workflowOwner } from './owner.ts';
import { label, metadata } from '../model/text.ts';

/** What `createVolume` is started with. */
export const createVolumeRequest = z.object({
  volumeId,
  tenantId,
  userId: label.min(1).nullable().default(null),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  sizeBytes,
  /** Null: one is chosen. */
  backEnd: backEndName.nullable().default(null),
  /** Where to choose from; null: all zones. */
  availabilityZone: label.min(1).nullable().default(null),
  metadata: metadata.default({}),
  bootable: z.boolean().default(false),
  volumeType: volumeTypeName.nullable().default(null),
  /** What its first bytes are copied from: at most one of the two, and no larger than it. */
  snapshotId: z.uuid().nullable().default(null),
  sourceVolumeId: volumeId.nullable().default(null),
});
export type CreateVolumeRequest = z.infer<typeof createVolumeRequest>;

/**
 * Makes a volume: its row first (status `creating`), then the device, zeroed or filled from a snapshot or another volume, then `available`.
 * When the device cannot be made the row stays with status `error`, as in Cinder, so that its tenant sees it and can delete it.
 */
export async function createVolume(input: unknown): Promise<{ volumeId: string }> {
  const parsed = createVolumeRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const request = parsed.data;
  const owner = workflowOwner();
  const { host } = await begin(() =>
    registry.beginCreate.executeWithOptions({ summary: 'record: creating' }, [{ ...request, owner }]),
  );
  let identity: string;
  try {
    const at = { backEnd: host, deviceName: deviceName({ id: request.volumeId, nameId: null }) };
    const { sizeBytes: size } = request;
    const labels = labelTags(request);
    const isCopy = request.snapshotId !== null || request.sourceVolumeId !== null;
    const made = isCopy
      ? await fillVolume({ ...at, volumeId: request.volumeId, owner, sizeBytes: size, labels })
      : await storageWork(nodeOf(host)).createDevice.executeWithOptions({ summary: `make the device on ${host}` }, [
          { ...at, sizeBytes: size, tags: [...liveTags(request.volumeId), ...labels] },
        ]);
    identity = made.identity;
  } catch (error) {
    const reason = reasonOf(error);
    await CancellationScope.nonCancellable(() =>
      registry.failCreate.executeWithOptions({ summary: 'record: error' }, [
        { volumeId: request.volumeId, owner, reason },
      ]),
    );
    throw failureOf(reason);
  }
  await CancellationScope.nonCancellable(() =>
    registry.finishCreate.executeWithOptions({ summary: 'record: available' }, [
      { volumeId: request.volumeId, owner, identity },
    ]),
  );
  return { volumeId: request.volumeId };
}
