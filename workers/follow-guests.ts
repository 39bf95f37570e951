import type { Logger } from 'pino';
import { type GuestSeen, guestSeen, guestsHere, hasDisk } from '../activities/compute/moving-guests.ts';
import type { Virsh } from '../activities/compute/virsh.ts';
import {
  arrive,
  attachedElsewhere,
  forgetMove,
  type GuestMove,
  guestMovesOf,
  noteArriving,
  noteLeaving,
} from '../registry/guest-moves.ts';
import type { Registry } from '../registry/open-registry.ts';

interface Following {
  readonly virsh: Virsh;
  readonly registry: Registry;
  /** The hypervisor's. */
  readonly name: string;
  readonly log: Logger;
}

/**
 * What a compute worker does every few seconds about guests that libvirt migrates from or to its hypervisor. It writes what it sees of them,
 * by which their storage nodes let in the other QEMU; and when a guest has come, its attachments are this hypervisor's. May be repeated.
 */
export async function followGuests(deps: Following): Promise<void> {
  const { virsh, registry, name } = deps;
  const here = await guestsHere(virsh);
  // A guest may have several volumes: it is looked at once.
  const looks = new Map<string, Promise<GuestSeen>>();
  const see = (domain: string): Promise<GuestSeen> => {
    const look = looks.get(domain) ?? guestSeen(virsh, domain, here);
    looks.set(domain, look);
    return look;
  };
  for (const { attachmentId, domain } of await attachedElsewhere(registry, name, here))
    await noteArriving(registry, { attachmentId, toHost: name, isComingIn: (await see(domain)) === 'coming-in' });
  for (const move of await guestMovesOf(registry, name)) {
    const seen = await see(move.domain);
    if (move.toHost === name) await receive(deps, move, seen);
    // Of one that comes in here it is told by the other end.
    else if (seen !== 'coming-in') await noteLeaving(registry, move, seen);
  }
}

async function receive({ virsh, registry, log }: Following, move: GuestMove, seen: GuestSeen): Promise<void> {
  const { volumeId, instanceId: instance, domain, hasLeft } = move;
  if (seen === 'gone') return forgetMove(registry, move);
  if (seen !== 'here' || !hasLeft || !(await hasDisk(virsh, domain, volumeId))) return;
  if (await arrive(registry, move))
    log.info({ volumeId, instance }, 'a guest has come from another hypervisor, and its volume with it');
}
