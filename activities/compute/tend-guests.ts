import { diskSource } from '../../model/connection.ts';
import { attachmentExportName } from '../../model/names.ts';
import type { GuestDisk } from '../../registry/guest-disks.ts';
import { endMirror } from './abort-mirror.ts';
import { describePlace, type DiskSource, nameOf, placeOf, samePlace } from './disk-source.ts';
import { diskXml } from './disk-xml.ts';
import { findHold } from './domain-job.ts';
import { type Domain, type DomainDisk, parseDomain } from './domain-xml.ts';
import { domainOf, type DomainName, listDomains } from './find-domain.ts';
import { canonical } from './find-holders.ts';
import { attachFile } from './late-attach.ts';
import type { Address } from './address.ts';
import type { MovedExport } from './redirect-exports.ts';
import { whyUnreachable } from './reach-export.ts';
import { guestRuns, isFerrysPlace } from './resume-guest.ts';
import { saveSource } from './saved-definition.ts';
import { refusalIn, type Virsh, withFile } from './virsh.ts';

/** What does not fit, and what is done about it; `tell`: nothing can be done by machine. */
export type Finding =
  | { readonly kind: 'note-domain'; readonly domain: string }
  | { readonly kind: 'save-source'; readonly device: string; readonly was: string }
  | { readonly kind: 'give-back'; readonly device: string }
  | { readonly kind: 'end-mirror'; readonly live: DomainDisk }
  | { readonly kind: 'redirect'; readonly from: Address }
  | { readonly kind: 'tell'; readonly what: string };

/** A volume's disk as its guest and its definition have it now. */
export interface DiskSeen {
  readonly live: DomainDisk | null;
  readonly saved: DomainDisk | null;
  readonly active: boolean;
  readonly persistent: boolean;
}

/** Compares an attached volume that nobody works on with what its hypervisor has. */
export function findingsOf(disk: GuestDisk, { live, saved, active, persistent }: DiskSeen): Finding[] {
  const source = diskSource(disk.connection);
  const place = placeOf(source);
  const findings: Finding[] = [];
  const tell = (what: string) => findings.push({ kind: 'tell', what });
  if (
    live?.mirror &&
    isFerrysPlace(live.mirror.place) &&
    live.mirror.job === 'copy' &&
    !samePlace(live.mirror.place, place)
  )
    findings.push({ kind: 'end-mirror', live });
  if (live && !samePlace(live.place, place) && isPlain(live))
    tell(`the guest writes to ${describePlace(live.place)}, and the volume is ${describePlace(place)}`);
  else if (live?.address && isElsewhere(live, source)) findings.push({ kind: 'redirect', from: live.address });
  const device = saved?.device ?? live?.device;
  if (device === undefined) {
    tell(active ? 'neither the guest nor its definition has the disk' : 'the definition does not have the disk');
    return findings;
  }
  const liveFits = live ? samePlace(live.place, place) : !active;
  const isOld = saved ? wasBefore(saved, disk) || isElsewhere(saved, source) : liveFits;
  if (persistent && liveFits && isOld)
    findings.push({ kind: 'save-source', device, was: saved ? describePlace(saved.place) : 'nothing' });
  if (saved && !samePlace(saved.place, place) && !isOld && isPlain(saved))
    tell(
      `its definition names ${describePlace(saved.place)}, of which the registry knows nothing; the volume is ${describePlace(place)}`,
    );
  if (active && !live && samePlace(saved?.place ?? null, place)) findings.push({ kind: 'give-back', device });
  return findings;
}

/** A device of Ferry's itself; what lies over one, an overlay, is somebody else's and means something. */
function isPlain({ place, format, backing }: DomainDisk): boolean {
  return isFerrysPlace(place) && format === 'raw' && backing.length === 0;
}

/** On a device that the volume has left: of another one, the registry may be what is behind. */
function wasBefore(saved: DomainDisk, { attachmentId, connection, left }: GuestDisk): boolean {
  if (!isPlain(saved) || !saved.place || samePlace(saved.place, placeOf(diskSource(connection)))) return false;
  return [attachmentExportName(attachmentId), ...left].includes(nameOf(saved.place));
}

/** The right export at an address that is not its any more. */
function isElsewhere({ place, address }: DomainDisk, source: DiskSource): boolean {
  if (source.kind !== 'nbd' || address === null || !samePlace(place, placeOf(source))) return false;
  return address.port !== source.address.port || address.host !== source.address.host;
}

export interface TendingTools {
  readonly virsh: Virsh;
  /** Whether the registry says the same of it still, just before something is changed. */
  readonly isStill: (disk: GuestDisk) => Promise<boolean>;
  readonly noteDomain: (disk: GuestDisk, domain: string) => Promise<void>;
}

/** What was found of one attached volume. `done`: it is put right. */
export interface Tended {
  readonly volumeId: string;
  readonly instance: string;
  readonly what: string;
  readonly done: boolean;
}

/**
 * Goes once over the attached volumes of the hypervisor. Where nobody works on one it puts right what does not fit: a definition that
 * names another place, a disk that a guest let go of after its detach had failed, a mirror whose migration is over. For the compute worker
 * to call again and again. What it cannot put right it tells. `moved`: of all of them, those whose guest looks for its export where that
 * is not any more.
 */
export async function tendGuests(
  tools: TendingTools,
  disks: readonly GuestDisk[],
): Promise<{ tended: Tended[]; moved: MovedExport[] }> {
  const moved: MovedExport[] = [];
  if (disks.length === 0) return { tended: [], moved };
  const domains = await listDomains(tools.virsh);
  const persistent = new Set((await listDomains(tools.virsh, '--all', '--persistent')).map(({ uuid }) => uuid));
  const tended: Tended[] = [];
  const known = new Map<string, { now: Domain; saved: Domain | null } | null>();
  for (const disk of disks) {
    const { instanceId: instance, volumeId, connection } = disk;
    const named = domainOf(domains, { instance, volumeId, domain: connection.domain });
    if (!named) {
      if (disk.busy) continue;
      tended.push({ volumeId, instance, what: 'this hypervisor has no such instance any more', done: false });
      continue;
    }
    if (!known.has(named.uuid)) known.set(named.uuid, await definitions(tools.virsh, named, persistent));
    const both = known.get(named.uuid);
    if (!both) continue;
    const seen = {
      live: both.now.active ? await diskIn(both.now, disk) : null,
      saved: both.saved && (await diskIn(both.saved, disk)),
      active: both.now.active,
      persistent: both.saved !== null,
    };
    const findings = findingsOf(disk, seen);
    if (!connection.domain && (seen.live ?? seen.saved)) findings.push({ kind: 'note-domain', domain: named.uuid });
    for (const finding of findings) {
      if (finding.kind === 'redirect') moved.push({ disk, guest: named, from: finding.from });
      else if (!disk.busy) tended.push(...(await putRight(tools, disk, named.uuid, finding)));
    }
  }
  return { tended, moved };
}

async function definitions(
  virsh: Virsh,
  { uuid }: DomainName,
  persistent: ReadonlySet<string>,
): Promise<{ now: Domain; saved: Domain | null } | null> {
  try {
    const now = parseDomain(await virsh('dumpxml', '--domain', uuid, '--security-info'));
    if (!now.active) return { now, saved: now };
    if (!persistent.has(uuid)) return { now, saved: null };
    return { now, saved: parseDomain(await virsh('dumpxml', '--domain', uuid, '--inactive', '--security-info')) };
  } catch (error) {
    // Gone meanwhile, or held by another call: the next round finds it again.
    if (refusalIn(error) === null || refusalIn(error) === 'libvirtd-down') throw error;
    return null;
  }
}

/** The volume's disk; where it is on the volume's device by another name of that, by the name that the registry has. */
async function diskIn({ disks }: Domain, { volumeId, connection }: GuestDisk): Promise<DomainDisk | null> {
  const disk = disks.find(({ serial }) => serial === volumeId);
  if (!disk?.place) return disk ?? null;
  const place = placeOf(diskSource(connection));
  return samePlace(await canonical(disk.place), await canonical(place)) ? { ...disk, place } : disk;
}

async function putRight(
  tools: TendingTools,
  disk: GuestDisk,
  domain: string,
  finding: Exclude<Finding, { kind: 'redirect' }>,
): Promise<Tended[]> {
  const { volumeId, instanceId: instance, connection, mode } = disk;
  const told = (what: string, done: boolean): Tended[] => [{ volumeId, instance, what, done }];
  if (finding.kind === 'tell') return told(finding.what, false);
  if (!(await tools.isStill(disk))) return [];
  const { virsh } = tools;
  const at = { instance, volumeId, domain };
  try {
    // What libvirt is told now it does when the job is over, and that may be long after it was true.
    const hold = finding.kind === 'note-domain' ? null : await findHold(virsh, at);
    if (hold) return told(`${finding.kind} waits until a job of libvirt is over: ${hold.job}`, false);
    switch (finding.kind) {
      case 'note-domain':
        await tools.noteDomain(disk, finding.domain);
        return [];
      case 'save-source':
        await saveSource(virsh, at, finding.device, diskSource(connection));
        return told(`its definition said ${finding.was}, and names the volume again`, true);
      case 'give-back': {
        if ((await guestRuns(virsh, domain)) !== 'running') return [];
        const source = diskSource(connection);
        const why = await whyUnreachable(source);
        if (why !== null)
          return told(`the guest had let go of ${finding.device}, and does not get it back: ${why}`, false);
        const xml = diskXml({ source, device: finding.device, volumeId, readOnly: mode === 'ro' });
        const attach = (file: string) => virsh('attach-device', '--domain', domain, '--file', file, '--live');
        await withFile(xml, attach, attachFile(volumeId));
        return told(`the guest had let go of ${finding.device}, which is attached to it, and has it again`, true);
      }
      case 'end-mirror':
        await endMirror(virsh, at, finding.live, true);
        return told(`a mirror to ${describePlace(finding.live.mirror!.place)} that no migration owns is ended`, true);
    }
  } catch (error) {
    return told(`${finding.kind}: ${(error as Error).message}`, false);
  }
}
