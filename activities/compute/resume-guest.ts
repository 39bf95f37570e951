import { setTimeout as sleep } from 'node:timers/promises';
import { volumeId } from '../../model/ids.ts';
import { nameOf, type Place } from './disk-source.ts';
import { type Domain, type DomainDisk, parseDomain } from './domain-xml.ts';
import { listDomains } from './find-domain.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** libvirt's numbers (virDomainState, virDomainPausedReason): paused, because of an I/O error. */
const paused = '3';
const becauseOfIoError = '5';

/** How long a resumed guest needs to repeat its write and find that the storage is still away. Milliseconds. */
const settleMs = 1_500;

/** QEMU begins to connect again only with the first request, which fails; the next one after that finds the connection. */
const tries = 3;

export type GuestRuns = 'running' | 'paused-by-io-error' | 'paused-by-somebody' | 'off';

/** Resumes a guest that stopped because its storage went away: it repeats its write and never sees an error. Others stay as they are. */
export async function resumeGuest(virsh: Virsh, domain: string): Promise<GuestRuns> {
  for (let left = tries; ; left -= 1) {
    const found = await guestRuns(virsh, domain);
    if (found !== 'paused-by-io-error' || left === 0) return found;
    try {
      await virsh('resume', '--domain', domain);
    } catch (error) {
      if (refusalIn(error) === null || refusalIn(error) === 'other') throw error;
    }
    await sleep(settleMs);
  }
}

/** Whether the domain with that UUID runs. */
export async function guestRuns(virsh: Virsh, domain: string): Promise<GuestRuns> {
  return readGuestRuns(await virsh('domstats', '--raw', '--state', '--nowait', '--domain', domain));
}

/** Reads what `virsh domstats --raw --state` prints of one domain. */
export function readGuestRuns(text: string): GuestRuns {
  const valueOf = (name: string) => new RegExp(`^\\s*state\\.${name}=(\\d+)$`, 'm').exec(text)?.[1];
  const state = valueOf('state');
  if (state === paused) return valueOf('reason') === becauseOfIoError ? 'paused-by-io-error' : 'paused-by-somebody';
  return state === '1' || state === '2' ? 'running' : 'off';
}

/**
 * Goes once over the paused guests that have a disk of Ferry's, and resumes those that stopped because of an I/O error. For the
 * compute worker to call every few seconds. The names of those that run again.
 */
export async function resumeStoppedGuests(virsh: Virsh): Promise<string[]> {
  const resumed: string[] = [];
  for (const { uuid, name } of await listDomains(virsh, '--state-paused')) {
    try {
      const domain = parseDomain(await virsh('dumpxml', '--domain', uuid));
      const stopped = (await guestRuns(virsh, uuid)) === 'paused-by-io-error';
      if (stopped && hasVolume(domain) && (await resumeGuest(virsh, uuid)) === 'running') resumed.push(name);
    } catch (error) {
      // Gone meanwhile, or held by another call: the next round finds it again.
      if (refusalIn(error) === null) throw error;
    }
  }
  return resumed;
}

function hasVolume(domain: Domain): boolean {
  return domain.disks.some(isFerrys);
}

/** A disk that Ferry attached: its serial is a volume's id, its source a volume's device or an attachment's export. */
export function isFerrys({ serial, place }: DomainDisk): boolean {
  return volumeId.safeParse(serial).success && isFerrysPlace(place);
}

/** A volume's device, or an export of one. */
export function isFerrysPlace(place: Place | null): boolean {
  return /(^|[/-])(volume|attachment)-/.test(place ? nameOf(place) : '');
}
