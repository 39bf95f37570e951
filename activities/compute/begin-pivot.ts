import { FerryError } from '../../model/errors.ts';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import { assertDomain } from './attach-disk.ts';
import { observeDisk, type ObservationTools } from './observe-disk.ts';
import { type DiskMove, hopelessVerdict } from './probe-disk.ts';
import { identifyQemu } from './qemu-process.ts';

/** The QEMU that runs the guest now. */
export async function beginPivot(tools: ObservationTools, move: DiskMove): Promise<QemuIdentity> {
  const seen = await observeDisk(tools, move);
  assertDomain(seen, move);
  if (!seen.domain!.active) throw hopelessVerdict({ kind: 'off-on-source' }, move);
  const pid = await tools.findQemuProcess(seen.domain!);
  const identity = pid === null ? null : await identifyQemu(pid);
  if (identity) return identity;
  throw new FerryError(
    'InstanceNotReady',
    `The QEMU process of instance ${move.instance} is not seen by its compute worker. Run the worker in the host's process namespace.`,
    { instance: move.instance, because: 'qemu-not-seen' },
  );
}
