import { FerryError } from '../../model/errors.ts';
import { describePlace, type DiskSource, placeOf, samePlace } from './disk-source.ts';
import { diskXml } from './disk-xml.ts';
import { refuseHeld } from './domain-job.ts';
import { type Domain, type DomainDisk, parseDomain } from './domain-xml.ts';
import { type DiskOfInstance, listDomains } from './find-domain.ts';
import { findHolders, refuseOtherHolders } from './find-holders.ts';
import type { CutConnection } from './cut-connection.ts';
import { attachFile } from './late-attach.ts';
import { observeDisk, type Observations, type ObservationTools } from './observe-disk.ts';
import { hopelessVerdict } from './probe-disk.ts';
import { whileOpening, whyUnreachable } from './reach-export.ts';
import { withFile } from './virsh.ts';

export interface AttachInput extends DiskOfInstance {
  readonly source: DiskSource;
  /** As the guest will know it; the first free one if null. */
  readonly device: string | null;
  readonly mode: 'rw' | 'ro';
}

/** Puts the disk into the running guest and into its definition, each if it is not there. `domain`: the instance's UUID. */
export async function attachDisk(
  tools: ObservationTools & { cut: CutConnection },
  input: AttachInput,
): Promise<{ device: string; domain: string }> {
  await refuseHeld(tools.virsh, input);
  const seen = await observeDisk(tools, input);
  assertDomain(seen, input);
  const domain = seen.domain!.uuid;
  for (const disk of [seen.live, seen.saved]) if (disk) assertSame(disk, input);
  refuseOtherHolders(await findHolders(tools.virsh, input), domain, input);
  await refuseWithMemory(tools, input, domain);
  const device = seen.live?.device ?? seen.saved?.device ?? freeDevice(input, await allDisks(tools, domain));
  const flags = [
    ...(seen.domain?.active && !seen.live ? ['--live'] : []),
    ...(seen.persistent && !seen.saved ? ['--config'] : []),
  ];
  if (flags.length === 0) return { device, domain };
  const isLive = flags.includes('--live');
  if (isLive) await assertReachable(input);
  const xml = diskXml({ source: input.source, device, volumeId: input.volumeId, readOnly: input.mode === 'ro' });
  const attach = (file: string) => tools.virsh('attach-device', '--domain', domain, '--file', file, ...flags);
  await withFile(
    xml,
    (file) => (isLive ? whileOpening(tools, input.source, () => attach(file)) : attach(file)),
    attachFile(input.volumeId),
  );
  return { device, domain };
}

async function assertReachable({ source, instance, volumeId }: AttachInput): Promise<void> {
  const why = await whyUnreachable(source);
  if (why === null) return;
  throw new FerryError(
    'InstanceNotReady',
    `Volume ${volumeId} is not put into instance ${instance}, which would stand still: from its hypervisor ${why}. See to the network between ` +
      'them, then try again.',
    { instance, because: 'export-unreachable' },
  );
}

/** A guest whose memory is saved comes back with the disks that it had then. */
async function refuseWithMemory({ virsh }: ObservationTools, at: DiskOfInstance, own: string): Promise<void> {
  const withMemory = await listDomains(virsh, '--all', '--with-managed-save');
  if (!withMemory.some(({ uuid }) => uuid === own)) return;
  throw new FerryError(
    'InstanceNotReady',
    `The memory of instance ${at.instance} is saved (virsh managedsave): it would come back without volume ${at.volumeId}. ` +
      'Start it, then try again.',
    { instance: at.instance, because: 'memory-saved' },
  );
}

/** That libvirt answers and knows the domain, and has not lost its QEMU. */
export function assertDomain(seen: Observations, at: DiskOfInstance): void {
  if (seen.libvirt === 'down')
    throw hopelessVerdict({ kind: 'libvirtd-down', reason: seen.trouble ?? 'no answer' }, at);
  if (seen.libvirt === 'hangs')
    throw hopelessVerdict({ kind: 'unknown', reason: seen.trouble ?? 'no answer in time' }, at);
  if (seen.strayQemu !== null) {
    throw hopelessVerdict(
      { kind: 'park', reason: `QEMU (process ${seen.strayQemu}) runs the guest, but libvirt has lost it.` },
      at,
    );
  }
  if (!seen.domain) throw hopelessVerdict({ kind: 'no-domain' }, at);
}

function assertSame(disk: DomainDisk, input: AttachInput): void {
  if (samePlace(disk.place, placeOf(input.source))) return;
  throw new FerryError(
    'InstanceNotReady',
    `Instance ${input.instance} has volume ${input.volumeId} as ${disk.device} already, on ${describePlace(disk.place)}. Detach it first.`,
  );
}

async function allDisks({ virsh }: ObservationTools, domain: string): Promise<DomainDisk[]> {
  const domains: Domain[] = [];
  for (const which of [[], ['--inactive']])
    domains.push(parseDomain(await virsh('dumpxml', '--domain', domain, ...which)));
  return domains.flatMap(({ disks }) => disks);
}

function freeDevice(input: AttachInput, disks: readonly DomainDisk[]): string {
  const taken = new Set(disks.map(({ device }) => device));
  if (input.device !== null) {
    if (!taken.has(input.device)) return input.device;
    throw new FerryError(
      'InstanceNotReady',
      `Instance ${input.instance} has another disk as ${input.device}. Name another device, or none.`,
    );
  }
  for (const letter of 'abcdefghijklmnopqrstuvwxyz') if (!taken.has(`vd${letter}`)) return `vd${letter}`;
  throw new FerryError('InstanceNotReady', `Instance ${input.instance} has no free device name left.`);
}
