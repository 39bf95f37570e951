import { findDomainJob } from './domain-job.ts';
import { listDomains } from './find-domain.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** What the hypervisor has of a guest that libvirt migrates: `leaving` and `arriving` are the two ends of one migration. */
export type Whereabouts = 'leaving' | 'here' | 'gone';

/** The UUIDs of the guests that are on their way to this hypervisor. Those of one that waits for its disks are seen too. */
export async function arrivingGuests(virsh: Virsh): Promise<string[]> {
  const arriving: string[] = [];
  // Their QEMU answers nobody, but libvirt has them: as paused.
  for (const { uuid } of await listDomains(virsh, '--state-paused'))
    if ((await jobOf(virsh, uuid)) === 'Incoming migration') arriving.push(uuid);
  return arriving;
}

/** What the hypervisor that a guest is to leave has of it now. A definition that stays behind is no guest. */
export async function whereIs(virsh: Virsh, domain: string): Promise<Whereabouts> {
  const running = await listDomains(virsh, '--state-running', '--state-paused', '--state-other');
  if (!running.some(({ uuid }) => uuid === domain)) return 'gone';
  return (await jobOf(virsh, domain)) === 'Outgoing migration' ? 'leaving' : 'here';
}

/** Null: none, or the domain has gone meanwhile. */
async function jobOf(virsh: Virsh, domain: string): Promise<string | null> {
  try {
    return await findDomainJob(virsh, domain);
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal === null || refusal === 'libvirtd-down') throw error;
    return null;
  }
}
