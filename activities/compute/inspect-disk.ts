import { FerryError, type Reason, refusal } from '../../model/errors.ts';
import { assertDomain } from './attach-disk.ts';
import { describePlace, type DiskSource, placeOf, samePlace } from './disk-source.ts';
import { findDomainJob, refuseHeld } from './domain-job.ts';
import type { DiskOfInstance } from './find-domain.ts';
import { findHolders, refuseOtherHolders, refuseSavedMemory } from './find-holders.ts';
import { askMonitor, observeDisk, type Observations, type ObservationTools } from './observe-disk.ts';
import { hopelessVerdict } from './probe-disk.ts';
import { readVersion } from './qmp.ts';

export interface InspectInput extends DiskOfInstance {
  /** Where the registry says that the volume is. */
  readonly source: DiskSource;
  readonly sizeBytes: number;
}

type Version = readonly [number, number];

/** Mirrors with QEMU's nodes named, transient jobs and a definition rewritten at the pivot: older ones were not looked at. */
const oldest: { libvirt: Version; qemu: Version } = { libvirt: [8, 0], qemu: [6, 2] };

/** Refuses, with all reasons at once, a disk that cannot be mirrored. */
export async function inspectDisk(
  tools: ObservationTools,
  input: InspectInput,
): Promise<{ device: string; sizeBytes: number }> {
  await refuseHeld(tools.virsh, input);
  const seen = await observeDisk(tools, input);
  assertDomain(seen, input);
  const holders = await findHolders(tools.virsh, input);
  refuseOtherHolders(holders, seen.domain!.uuid, input);
  refuseSavedMemory(holders, input);
  if (!seen.domain?.active) throw hopelessVerdict({ kind: 'off-on-source' }, input);
  if (!seen.live) throw hopelessVerdict({ kind: 'no-disk' }, input);
  if (!seen.qemu) throw hopelessVerdict({ kind: 'unknown', reason: seen.trouble ?? 'QEMU does not answer' }, input);
  const versions = {
    libvirt: readDaemonVersion(await tools.virsh('version', '--daemon')),
    qemu: readVersion(await askMonitor(tools.virsh, seen.domain.uuid, 'query-version')),
  };
  const domainJob = await findDomainJob(tools.virsh, seen.domain.uuid);
  const qemuIsSeen = (await tools.findQemuProcess(seen.domain)) !== null;
  const [first, ...more] = mirrorRefusals({ ...seen, domainJob, qemuIsSeen }, input, versions);
  if (first) throw refusal([first, ...more]);
  return { device: seen.live.device, sizeBytes: seen.qemu.sizeBytes };
}

/** Why the disk of a running guest cannot be mirrored; none if it can. */
export function mirrorRefusals(
  seen: Observations & { readonly domainJob?: string | null; readonly qemuIsSeen?: boolean },
  input: InspectInput,
  versions: { libvirt: Version; qemu: Version },
): Reason[] {
  const { live, qemu, persistent, domainJob = null, qemuIsSeen = true } = seen;
  const reasons: Reason[] = [];
  const refuse = (because: string, message: string, type: Reason['type'] = 'InstanceNotReady') =>
    reasons.push({ type, message, details: { instance: input.instance, because } });
  const disk = `Disk ${live?.device} of instance ${input.instance}`;
  if (!persistent)
    refuse(
      'transient-domain',
      `Instance ${input.instance} is transient: no definition could be kept true. Define it in libvirt first.`,
    );
  if (live?.readOnly)
    refuse('read-only', `${disk} is read-only, which the hypervisor does not mirror. Detach it and move it detached.`);
  if (live?.shareable)
    refuse(
      'shareable',
      `${disk} may have more than one writer; a mirror would miss what the others write. Detach all but one.`,
    );
  if (live?.transient)
    refuse('transient-disk', `${disk} is transient: its writes are thrown away. Detach it and move it detached.`);
  if (live?.encrypted)
    refuse(
      'encrypted',
      `${disk} is encrypted by the hypervisor, which cannot be mirrored. Detach it and move it detached.`,
    );
  const jobs = [
    ...(live?.mirror ? [`a copy to ${describePlace(live.mirror.place)} (${live.mirror.job})`] : []),
    ...(qemu?.others ?? []),
    ...(domainJob === null ? [] : [`${domainJob} of the whole instance`]),
  ];
  if (jobs.length > 0)
    refuse(
      'foreign-job',
      `${disk} is being worked on by somebody else: ${jobs.join(', ')}. Wait until that is over, or end it: virsh blockjob, virsh domjobabort.`,
    );
  if (!qemuIsSeen)
    refuse(
      'qemu-not-seen',
      `The QEMU process of instance ${input.instance} is not seen by its compute worker, which has to know it again. Run the worker in the host's process namespace.`,
    );
  const place = qemu?.place ?? null;
  if (!samePlace(place, placeOf(input.source))) {
    refuse(
      'elsewhere',
      `${disk} is on ${describePlace(place)}; the registry says ${describePlace(placeOf(input.source))}.`,
    );
  }
  if (qemu && qemu.sizeBytes !== input.sizeBytes) {
    refuse('size', `${disk} has ${qemu.sizeBytes} bytes, the registry says ${input.sizeBytes}.`, 'SizeMismatch');
  }
  for (const program of ['libvirt', 'qemu'] as const) {
    if (older(versions[program], oldest[program])) {
      refuse(
        'too-old',
        `${program} ${versions[program].join('.')} of this hypervisor is too old to mirror; ${oldest[program].join('.')} is needed.`,
      );
    }
  }
  return reasons;
}

/** libvirtd's version from what `virsh version --daemon` prints. */
export function readDaemonVersion(text: string): Version {
  const [, major, minor] = /^Running against daemon: (\d+)\.(\d+)/m.exec(text) ?? [];
  if (major === undefined || minor === undefined) {
    throw new FerryError('ToolFailed', `virsh does not say which libvirtd it talks to: ${text.slice(0, 200)}`);
  }
  return [Number(major), Number(minor)];
}

function older(version: Version, than: Version): boolean {
  return version[0] < than[0] || (version[0] === than[0] && version[1] < than[1]);
}
