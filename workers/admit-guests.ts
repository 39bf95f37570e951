import type { Logger } from 'pino';
import type { Exported, Exports } from '../activities/storage/exports.ts';
import { admittedHosts } from '../registry/guest-moves.ts';
import type { Registry } from '../registry/open-registry.ts';

/**
 * What a storage worker does every few seconds about guests that libvirt migrates: lets the QEMU of the hypervisor that a guest comes to in
 * beside the one that has its volume, and when that is over one client alone again. `exported`: what is exported now. May be repeated.
 */
export async function admitGuests(
  deps: { exports: Exports; registry: Registry; backEnds: readonly string[]; log: Logger },
  exported: readonly Exported[],
): Promise<void> {
  const { exports, registry, backEnds, log } = deps;
  const admitted = await admittedHosts(registry, backEnds);
  const serversOf = Map.groupBy(exported, ({ exportName }) => exportName);
  for (const { exportName, toHost } of admitted) {
    const servers = serversOf.get(exportName) ?? [];
    if (servers.length !== 1) continue;
    try {
      await exports.admit(exportName, toHost);
      log.info(
        { exportName, toHost },
        'a guest is being migrated: the hypervisor that it comes to has its volume, too',
      );
    } catch (error) {
      log.error(
        { exportName, toHost, error: (error as Error).message },
        'a guest that is being migrated does not get its volume',
      );
    }
  }
  const open = new Set(admitted.map(({ exportName }) => exportName));
  for (const [exportName, servers] of serversOf)
    if (servers.length > 1 && !open.has(exportName)) await exports.settle(exportName);
}
