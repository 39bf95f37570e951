import type { BackEnd, ObservedBackEnd } from '../model/back-end.ts';
import { countVolumes, findBackEnd, listBackEnds, setDisabled } from '../registry/back-ends.ts';
import { durabilityRisks } from '../registry/durability.ts';
import { countDiscrepancies } from '../registry/discrepancies.ts';
import { countKeptSources } from '../registry/kept-sources.ts';
import { usageOf, type Usage } from '../registry/usage.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';

/** A back end with what is on it. */
export type ListedBackEnd = ObservedBackEnd & {
  volumes: number;
  kept: { sources: number; bytes: number };
  /** How many of its devices do not fit the registry. */
  discrepancies: number;
};

/** What an administrator may ask about back ends. */
export function backEndCommands({ registry, identity }: Context) {
  return {
    /** All back ends, by name, how many volumes are on each, and what it keeps of those that have left it. */
    async listBackEnds(): Promise<ListedBackEnd[]> {
      requireAdmin(identity, 'list back ends');
      const [backEnds, volumes, kept, discrepancies] = await Promise.all([
        listBackEnds(registry),
        countVolumes(registry),
        countKeptSources(registry),
        countDiscrepancies(registry),
      ]);
      return backEnds.map((b) => ({
        ...b,
        volumes: volumes.get(b.name) ?? 0,
        kept: kept.get(b.name) ?? { sources: 0, bytes: 0 },
        discrepancies: discrepancies.get(b.name) ?? 0,
      }));
    },

    /** What is on a back end, a tenant. */
    async usageOf(name: string): Promise<Usage[]> {
      requireAdmin(identity, 'look at back ends');
      return usageOf(registry, name);
    },

    /** Why what the registry has committed can be lost by a crash or a failover of Postgres; none when it cannot. */
    async durabilityRisks(): Promise<string[]> {
      requireAdmin(identity, 'look at the registry');
      return durabilityRisks(registry);
    },

    /** `BackEndNotFound` if none has reported itself so. */
    async findBackEnd(name: string): Promise<BackEnd> {
      requireAdmin(identity, 'look at back ends');
      return findBackEnd(registry, name);
    },

    /** Nothing new is placed on a disabled back end, or on any of the node's; what is there stays, and may leave. May be repeated. */
    async disableBackEnd(name: string, reason: string | null = null): Promise<BackEnd[]> {
      requireAdmin(identity, 'disable back ends');
      return setDisabled(registry, name, true, reason);
    },

    async enableBackEnd(name: string): Promise<BackEnd[]> {
      requireAdmin(identity, 'enable back ends');
      return setDisabled(registry, name, false);
    },
  };
}
