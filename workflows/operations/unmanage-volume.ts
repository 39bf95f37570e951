import { nodeOf } from '../../model/ids.ts';
import { liveDevice } from '../../model/names.ts';
import type { KeptDevice } from '../../model/kept-source.ts';
import { registry, storageSteps } from '../activities.ts';
import { removeKeptSources } from '../kept-sources.ts';
import { workflowOwner } from '../owner.ts';
import { operationRequest, parsed, patienceSeconds, runOperation } from './run-operation.ts';

/** Forgets a volume and leaves its device, with its bytes and its name, without Ferry's tags. What was kept of it is removed. */
export async function unmanageVolume(input: unknown): Promise<{ backEnd: string; deviceName: string }> {
  const { volumeId, asTenant } = parsed(operationRequest, input);
  const ticket = { volumeId, owner: workflowOwner() };
  let kept: KeptDevice[] | undefined;
  const forgotten = await runOperation({
    begin: () => registry.beginUnmanage({ ...ticket, tenantId: asTenant ?? undefined }),
    work: async (volume) => {
      const left = liveDevice(volume);
      await storageSteps(nodeOf(volume.host), patienceSeconds).disownDevice.executeWithOptions(
        { summary: `take the tags off ${left.deviceName} on ${left.backEnd}` },
        [{ ...left, newName: left.deviceName }],
      );
      return { backEnd: left.backEnd, deviceName: left.deviceName };
    },
    finish: async () => void (kept = await registry.finishUnmanage(ticket)),
    fail: (reason) => registry.failUnmanage({ ...ticket, reason }),
  });
  await removeKeptSources(kept ?? []);
  return forgotten;
}
