import type { Logger } from 'pino';
import { arrivingGuests, whereIs } from '../activities/compute/moving-guests.ts';
import type { Virsh } from '../activities/compute/virsh.ts';
import { arrive, forgetMove, movesFrom, movesTo, noteArriving, noteLeaving } from '../registry/guest-moves.ts';
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
  const arriving = await arrivingGuests(virsh);
  await noteArriving(registry, name, arriving);
  for (const move of await movesTo(registry, name)) {
    if (arriving.includes(move.domain)) continue;
    const { volumeId, instanceId: instance } = move;
    if ((await whereIs(virsh, move.domain)) === 'gone') await forgetMove(registry, move);
    else if (move.hasLeft && (await arrive(registry, move)))
      log.info({ volumeId, instance }, 'a guest has come from another hypervisor, and its volume with it');
  }
  for (const move of await movesFrom(registry, name)) {
    const found = await whereIs(virsh, move.domain);
    if (found === 'leaving') await noteLeaving(registry, move, 'leaving');
    else if (found === 'gone') await noteLeaving(registry, move, 'left');
  }
}
