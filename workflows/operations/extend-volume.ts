import { nodeOf } from '../../model/ids.ts';
import { deviceName, liveDevice } from '../../model/names.ts';
import { sizeBytes, sizeWords } from '../../model/sizes.ts';
import { registry } from '../activities.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, runOperation } from './run-operation.ts';
import { storageWork } from './storage-work.ts';

export const extendVolumeRequest = operationRequest.extend({ sizeBytes });

/** What the storage refuses before it has changed anything. */
const untouchedTypes: ReadonlySet<string> = new Set([
  'InsufficientSpace',
  'VolumeHasSnapshots',
  'SizeMismatch',
  'BackEndNotFound',
]);

/**
 * Makes a volume larger; the new bytes read as zero. When the device could not be told to be as it was, the volume is
 * `error_extending`: its old bytes are whole, its size is still the old one.
 */
export async function extendVolume(input: unknown): Promise<void> {
  const { volumeId, asTenant, sizeBytes: wanted } = parsed(extendVolumeRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  await runOperation({
    begin: () => registry.beginExtend({ ...ticket, tenantId: asTenant ?? undefined, sizeBytes: wanted }),
    work: (volume) =>
      storageWork(nodeOf(volume.host)).extendDevice.executeWithOptions(
        { summary: `extend ${deviceName(volume)} on ${volume.host} to ${sizeWords(wanted)}` },
        [{ ...liveDevice(volume), sizeBytes: wanted, owner: ticket.owner }],
      ),
    finish: () => registry.finishExtend({ ...ticket, sizeBytes: wanted }),
    fail: (reason) => registry.failExtend({ ...ticket, reason, untouched: untouchedTypes.has(reason.type) }),
  });
}
