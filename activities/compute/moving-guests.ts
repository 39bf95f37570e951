import { findDomainJob } from './domain-job.ts';
import { parseDomain } from './domain-xml.ts';
import { listDomains } from './find-domain.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** What a hypervisor has of a guest that libvirt may be migrating. */
export type GuestSeen = 'coming-in' | 'leaving' | 'here' | 'gone';

/** The UUIDs of the guests that the hypervisor has, also of one that comes in and waits for its disks. A definition that stays behind is no guest. */
export async function guestsHere(virsh: Virsh): Promise<string[]> {
  const active = await listDomains(virsh, '--state-running', '--state-paused', '--state-other');
  return active.map(({ uuid }) => uuid);
}

/** `here`: of those that `guestsHere` has told just now. */
export async function guestSeen(virsh: Virsh, domain: string, here: readonly string[]): Promise<GuestSeen> {
  if (!here.includes(domain)) return 'gone';
  try {
    const job = await findDomainJob(virsh, domain);
    if (job === 'Incoming migration') return 'coming-in';
    return job === 'Outgoing migration' ? 'leaving' : 'here';
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal === null || refusal === 'libvirtd-down') throw error;
    // It has ended meanwhile, or is held: the next round tells.
    return refusal === 'no-domain' || refusal === 'not-running' ? 'gone' : 'here';
  }
}

/** Whether the guest has the volume's disk. */
export async function hasDisk(virsh: Virsh, domain: string, volumeId: string): Promise<boolean> {
  const { disks } = parseDomain(await virsh('dumpxml', '--domain', domain));
  return disks.some(({ serial }) => serial === volumeId);
}
