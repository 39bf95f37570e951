import { FerryError } from '../../model/errors.ts';
import { type DiskOfInstance, domainOf, listDomains } from './find-domain.ts';
import { refusalIn, type Virsh } from './virsh.ts';

/** Jobs that keep all else from a domain until they are over. With a backup its other disks may come and go. */
const holds = /migration|^Save$|^Dump$/i;

/** libvirt's numbers (virDomainState, its reasons) of a guest that stands still, or runs already, because it is being migrated. */
const migrating: ReadonlySet<string> = new Set(['3/2', '3/12', '3/13', '1/10', '1/11']);

/**
 * What holds the domain that is meant: its live migration, on either of the two hypervisors, or that its memory is being written. Asks
 * libvirt alone: the QEMU of a guest that is coming in answers nobody. Null: nothing, no such domain, or libvirt does not say.
 */
export async function findHold(
  virsh: Virsh,
  at: DiskOfInstance,
): Promise<{ readonly domain: string; readonly job: string } | null> {
  try {
    const domain = domainOf(await listDomains(virsh), at)?.uuid;
    if (domain === undefined) return null;
    const job = await findDomainJob(virsh, domain);
    if (job !== null) return holds.test(job) ? { domain, job } : null;
    const state = await virsh('domstats', '--raw', '--state', '--nowait', '--domain', domain);
    return isMigrating(state) ? { domain, job: 'Live migration' } : null;
  } catch (error) {
    const refusal = refusalIn(error);
    // Who looks at the disk next tells it, or finds that the domain has ended.
    if (refusal !== null && refusal !== 'other') return null;
    throw error;
  }
}

/** `InstanceNotReady`, with the job's name, while a job holds the domain: what is asked of libvirt now would come unexpectedly later. */
export async function refuseHeld(virsh: Virsh, at: DiskOfInstance): Promise<void> {
  const hold = await findHold(virsh, at);
  if (hold) throw heldBy(hold, at);
}

export function heldBy({ domain, job }: { domain: string; job: string }, at: DiskOfInstance): FerryError {
  const where = /incoming/i.test(job) ? 'on the hypervisor that it comes from' : `virsh domjobinfo ${domain}`;
  return new FerryError(
    'InstanceNotReady',
    `Instance ${at.instance} is in the hands of a job of libvirt: ${job}. Until that is over volume ${at.volumeId} is neither attached, ` +
      `detached nor mirrored there. See how far it is (${where}), then try again; Ferry does not end it.`,
    { instance: at.instance, volumeId: at.volumeId, because: 'foreign-job', job },
  );
}

/** What libvirt does with the whole domain, in its own words: `Backup`, `Outgoing migration`, `Save`. Null: nothing. */
export async function findDomainJob(virsh: Virsh, domain: string): Promise<string | null> {
  try {
    return readDomainJob(await virsh('domjobinfo', '--domain', domain));
  } catch (error) {
    if (isComingIn(error)) return 'Incoming migration';
    throw error;
  }
}

/** Reads what `virsh domjobinfo` prints. */
export function readDomainJob(text: string): string | null {
  const valueOf = (name: string) => new RegExp(`^${name}: +(.+?) *$`, 'm').exec(text)?.[1] ?? null;
  const type = valueOf('Job type');
  return type === null || type === 'None' ? null : (valueOf('Operation') ?? type);
}

/** The hypervisor to which a guest is migrated counts nothing, and says so. */
function isComingIn(error: unknown): boolean {
  if (!(error instanceof FerryError)) return false;
  const { stderr } = error.details;
  const said = typeof stderr === 'string' ? stderr : error.message;
  return /migration statistics are available only on the source host/i.test(said);
}

/** Reads what `virsh domstats --raw --state` prints of one domain. */
export function isMigrating(text: string): boolean {
  const valueOf = (name: string) => new RegExp(`^\\s*state\\.${name}=(\\d+)$`, 'm').exec(text)?.[1];
  return migrating.has(`${valueOf('state')}/${valueOf('reason')}`);
}
