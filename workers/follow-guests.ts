import type { Logger } from 'pino';
import { guestSeen, guestsHere, hasDisk } from '../activities/compute/moving-guests.ts';
import type { Virsh } from '../activities/compute/virsh.ts';
import {
  arrive,
  attachedElsewhere,
  forgetMove,
  movesFrom,
  movesTo,
  noteArriving,
  noteLeaving,
} from '../registry/guest-moves.ts';
import type { Registry } from '../registry/open-registry.ts';

/**
 * What a compute worker does every few seconds about guests that libvirt migrates from or to its hypervisor. It writes what it sees of them,
 * by which their storage nodes let in the other QEMU; and when a guest has come, its attachments are this hypervisor's. May be repeated.
 */
export async function followGuests(deps: {
  virsh: Virsh;
  registry: Registry;
  /** The hypervisor's. */
  name: string;
  log: Logger;
}): Promise<void> {
  const { virsh, registry, name, log } = deps;
  const here = await guestsHere(virsh);
  for (const { attachmentId, domain } of await attachedElsewhere(registry, name, here)) {
    const isComingIn = (await guestSeen(virsh, domain, here)) === 'coming-in';
    await noteArriving(registry, { attachmentId, toHost: name, isComingIn });
  }
  for (const move of await movesTo(registry, name)) {
    const { volumeId, instanceId: instance, domain } = move;
    const seen = await guestSeen(virsh, domain, here);
    if (seen === 'gone') await forgetMove(registry, move);
    else if (seen === 'here' && move.hasLeft && (await hasDisk(virsh, domain, volumeId)))
      if (await arrive(registry, move))
        log.info({ volumeId, instance }, 'a guest has come from another hypervisor, and its volume with it');
  }
  for (const move of await movesFrom(registry, name)) {
    const seen = await guestSeen(virsh, move.domain, here);
    // Of one that comes in here it is told by the other end.
    if (seen !== 'coming-in') await noteLeaving(registry, move, seen);
  }
}
