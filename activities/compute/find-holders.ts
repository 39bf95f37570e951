import { realpath } from 'node:fs/promises';
import { FerryError, type Reason } from '../../model/errors.ts';
import { describePlace, type DiskSource, type Place, placeOf, samePlace } from './disk-source.ts';
import { type Domain, type DomainDisk, parseDomain } from './domain-xml.ts';
import { type DiskOfInstance, type DomainName, listDomains } from './find-domain.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** A disk that is the volume, or lies over it, and what says so. */
export interface Holder {
  readonly domain: DomainName;
  /** The running guest; the definition; the guest's saved memory, which brings its own definition back. */
  readonly as: 'running' | 'defined' | 'memory saved';
  readonly disk: DomainDisk;
}

/** Questions to libvirt at once. */
const atOnce = 8;

/**
 * Every domain of the hypervisor that has the volume: by its serial, or by where it lives, as the disk itself or below an overlay;
 * running, defined, or in a saved memory. Changes nothing.
 */
export async function findHolders(
  virsh: Virsh,
  { volumeId, source }: { volumeId: string; source: DiskSource | null },
): Promise<Holder[]> {
  const domains = await listDomains(virsh);
  const withMemory = await domainsWithMemory(virsh);
  const place = source && (await canonical(placeOf(source)));
  const holders: Holder[] = [];
  for (let at = 0; at < domains.length; at += atOnce) {
    const told = await Promise.all(
      domains.slice(at, at + atOnce).map((domain) => definitionsOf(virsh, domain, withMemory.has(domain.uuid))),
    );
    for (const { domain, as, disks } of told.flat())
      for (const disk of disks) if (await isVolume(disk, volumeId, place)) holders.push({ domain, as, disk });
  }
  return holders;
}

/** Who has the volume, as an answer. */
export function inUseBy({ domain, as, disk }: Holder, volumeId: string): Reason {
  return {
    type: 'VolumeInUse',
    message:
      `Instance ${domain.name} (${domain.uuid}, ${as}) has volume ${volumeId} as ${disk.device}. ` +
      `Take it out there first: ferry detach, or ${takeOut({ domain, as, disk })}.`,
    details: { instance: domain.name, domain: domain.uuid },
  };
}

function takeOut({ domain, as, disk }: Holder): string {
  return as === 'memory saved'
    ? `virsh managedsave-remove ${domain.uuid}`
    : `virsh detach-disk ${domain.uuid} ${disk.device}${as === 'running' ? '' : ' --config'}`;
}

/** Refuses when another domain than `own` has the volume: two would write to it, or one would write to what is nobody's any more. */
export function refuseOtherHolders(holders: readonly Holder[], own: string | null, at: DiskOfInstance): void {
  const other = holders.find(({ domain }) => domain.uuid !== own);
  if (!other) return;
  throw new FerryError(
    'InstanceNotReady',
    `Instance ${other.domain.name} (${other.domain.uuid}, ${other.as}) has volume ${at.volumeId} as ${other.disk.device}, ` +
      `on ${describePlace(other.disk.place)}; the volume is not, or not only, instance ${at.instance}'s. ` +
      `Take it out there first: ${takeOut(other)}.`,
    { instance: at.instance, because: 'other-instance', other: other.domain.uuid },
  );
}

/** Refuses when the instance's memory is saved with the disk: it would come back with it. */
export function refuseSavedMemory(holders: readonly Holder[], at: DiskOfInstance): void {
  const saved = holders.find(({ as }) => as === 'memory saved');
  if (!saved) return;
  throw new FerryError(
    'InstanceNotReady',
    `The memory of instance ${at.instance} is saved (virsh managedsave), with volume ${at.volumeId} as its ${saved.disk.device}: it comes ` +
      `back with the disk. Start it, or throw its memory away: virsh managedsave-remove ${saved.domain.uuid}. Then try again.`,
    { instance: at.instance, because: 'memory-saved' },
  );
}

async function definitionsOf(
  virsh: Virsh,
  domain: DomainName,
  hasMemory: boolean,
): Promise<{ domain: DomainName; as: Holder['as']; disks: Domain['disks'] }[]> {
  try {
    const now = parseDomain(await virsh('dumpxml', '--domain', domain.uuid));
    const found = [{ domain, as: now.active ? ('running' as const) : ('defined' as const), disks: now.disks }];
    if (now.active) {
      const { disks } = parseDomain(await virsh('dumpxml', '--domain', domain.uuid, '--inactive'));
      found.push({ domain, as: 'defined', disks });
    }
    if (!hasMemory) return found;
    const { disks } = parseDomain(await virsh('managedsave-dumpxml', '--domain', domain.uuid));
    return [...found, { domain, as: 'memory saved', disks }];
  } catch (error) {
    // Undefined, or started from its memory, since it was listed.
    if (refusalIn(error) === 'no-domain') return [];
    if (hasMemory && !(await domainsWithMemory(virsh)).has(domain.uuid)) return definitionsOf(virsh, domain, false);
    throw error;
  }
}

/** The UUIDs of those whose memory libvirt has saved, and gives back at their next start. */
async function domainsWithMemory(virsh: Virsh): Promise<Set<string>> {
  return new Set((await listDomains(virsh, '--all', '--with-managed-save')).map(({ uuid }) => uuid));
}

async function isVolume({ serial, place, backing }: DomainDisk, volumeId: string, at: Place | null): Promise<boolean> {
  if (serial === volumeId) return true;
  for (const each of [place, ...backing]) if (each && samePlace(await canonical(each), at)) return true;
  return false;
}

/** The place by the one name that all others of it resolve to. */
export async function canonical(place: Place): Promise<Place> {
  if (place.kind !== 'local') return place;
  return { kind: 'local', path: await realpath(place.path).catch(() => place.path) };
}
