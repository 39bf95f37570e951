import { FerryError } from '../../model/errors.ts';
import type { Virsh } from './virsh.ts';

/** A volume as a disk of an instance: what every activity on attached volumes names. */
export interface DiskOfInstance {
  /** The libvirt domain as the operator calls it: its name or its UUID. */
  readonly instance: string;
  readonly volumeId: string;
  /** Its UUID, as it was when the volume was attached: a name may be another domain's by now. Not known of what is older. */
  readonly domain?: string | null | undefined;
}

/** The same, once it is known which domain that is. libvirt is only ever told of a UUID: it takes a number for another domain's id. */
export interface LocatedDisk extends DiskOfInstance {
  readonly domain: string;
}

export interface DomainName {
  readonly uuid: string;
  readonly name: string;
}

/** Every domain of the hypervisor, or those that `which` (options of `virsh list`) picks. */
export async function listDomains(virsh: Virsh, ...which: string[]): Promise<DomainName[]> {
  return readDomains(await virsh('list', ...(which.length > 0 ? which : ['--all']), '--uuid', '--name'));
}

/** Reads what `virsh list --uuid --name` prints: a name may hold blanks. */
export function readDomains(text: string): DomainName[] {
  return [...text.matchAll(/^\s*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) +(.+?)\s*$/gim)].map(
    ([, uuid = '', name = '']) => ({ uuid: uuid.toLowerCase(), name }),
  );
}

/**
 * The domain that is meant: the one with that UUID, be it renamed or not; else the one of exactly that name. Null: there is none.
 * `InstanceNotReady` where one domain has as its name what is another one's UUID.
 */
export function domainOf(domains: readonly DomainName[], at: DiskOfInstance): DomainName | null {
  const known = at.domain ? domains.find(({ uuid }) => uuid === at.domain) : undefined;
  if (known) return known;
  const [meant, ...others] = domains.filter(
    ({ uuid, name }) => name === at.instance || uuid === at.instance.toLowerCase(),
  );
  if (others.length > 0) {
    throw new FerryError(
      'InstanceNotReady',
      `${at.instance} is the name of one instance and the UUID of another. Rename the first one: virsh domrename.`,
    );
  }
  return meant ?? null;
}
