import type { DiskOfInstance } from '../activities/compute/find-domain.ts';
import type { Connection } from '../model/connection.ts';

/** The attached volume as the steps beside its hypervisor name it. */
export function diskOf(
  { volumeId, instanceId }: { volumeId: string; instanceId: string },
  connection: Connection | undefined,
): DiskOfInstance {
  return { instance: instanceId, volumeId, ...(connection?.domain ? { domain: connection.domain } : {}) };
}
