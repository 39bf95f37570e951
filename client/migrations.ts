import type { Reason } from '../model/errors.ts';
import type { Flow, MigrationRecord, MigrationRequestInput } from '../model/migration.ts';
import { chooseFlow, storageCanMove, type MigrationFacts } from '../model/preconditions.ts';
import { planMigration as readPlan } from '../registry/migration-facts.ts';
import {
  findMigration,
  type LastMigration,
  lastMigrations,
  listMigrations,
  type MigrationFilter,
} from '../registry/migrations.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import type { MigrationWish } from './migrate-anywhere.ts';
import type { MigrationView } from './migration-view.ts';
import type { MigrationEvent, WatchOptions } from './watch-migration.ts';

/** What a migration would be, and every reason why it would be refused. */
export interface MigrationPlan {
  allowed: boolean;
  flow: Flow;
  facts: MigrationFacts;
  reasons: Reason[];
  /** Why the nodes were not asked what they see; null: they were, or nobody wanted to. */
  unasked?: string | null;
}

type Planned = Pick<MigrationRequestInput, 'volumeId' | 'destination' | 'forceHostCopy' | 'newType'>;

type PlannedWish = Omit<Planned, 'destination'> & { destination?: string | undefined };

/** The same, with a destination chosen where none was given. */
async function settled(context: Context, { destination, ...wish }: PlannedWish): Promise<Planned> {
  if (destination !== undefined) return { ...wish, destination };
  const { destinationFor } = await import('./migrate-anywhere.ts');
  return { ...wish, destination: await destinationFor(context, wish) };
}

/** What `startMigration` would find now. */
export async function planMigration({ registry }: Context, request: Planned): Promise<MigrationPlan> {
  const { facts, reasons } = await readPlan(registry, request);
  const flow = chooseFlow({
    attached: facts.attachments.length > 0,
    forceHostCopy: request.forceHostCopy ?? false,
    driverCanMove: storageCanMove(facts.source, facts.destination),
    nameIsKept: facts.nameIsKept,
  });
  return { allowed: reasons.length === 0, flow, facts, reasons };
}

/** What an administrator may ask about migrations; steering a running one is in control-migration.ts. */
export function migrationCommands(context: Context) {
  const { registry, identity } = context;
  return {
    /** What `startMigration` would find now. Changes nothing, and needs no Temporal. */
    async planMigration(wish: PlannedWish): Promise<MigrationPlan> {
      requireAdmin(identity, 'migrate volumes');
      return planMigration(context, await settled(context, wish));
    },

    /** The same, and what the nodes and the hypervisor see. Changes nothing; without Temporal, or a control worker, it says so. */
    async examineMigration(wish: PlannedWish): Promise<MigrationPlan> {
      requireAdmin(identity, 'migrate volumes');
      const request = await settled(context, wish);
      const plan = await planMigration(context, request);
      if (!plan.facts.volume || !plan.facts.destination) return plan;
      const { examineMove } = await import('./examine-move.ts');
      const { reasons, unasked } = await examineMove(context, request);
      const all = [...plan.reasons, ...reasons];
      return { ...plan, reasons: all, allowed: all.length === 0, unasked };
    },

    /** See startMigration in start-migration.ts; without a destination, migrateAnywhere in migrate-anywhere.ts. */
    async startMigration(wish: MigrationWish): Promise<{ migrationId: string; destination: string }> {
      requireAdmin(identity, 'migrate volumes');
      const { destination, ...rest } = wish;
      const { migrateAnywhere } = await import('./migrate-anywhere.ts');
      if (destination === undefined) return migrateAnywhere(context, rest);
      const { startMigration } = await import('./start-migration.ts');
      return { ...(await startMigration(context, { ...rest, destination })), destination };
    },

    /** The volume's migration as it is now; null when none runs. */
    async migrationState(volumeId: string): Promise<MigrationView | null> {
      requireAdmin(identity, 'look at migrations');
      const { readMigration } = await import('./migration-view.ts');
      const found = await readMigration(await context.temporal(), volumeId);
      return found?.running ? found.view : null;
    },

    /** See watchMigration in watch-migration.ts. */
    async *watchMigration(volumeId: string, options: WatchOptions = {}): AsyncGenerator<MigrationEvent, void> {
      requireAdmin(identity, 'watch migrations');
      const { watchMigration } = await import('./watch-migration.ts');
      yield* watchMigration(context, volumeId, options);
    },

    /** The audit record of a migration, by its id or as the last one of a volume. `MigrationNotFound` if there is none. */
    async findMigration(idOrVolume: string): Promise<MigrationRecord> {
      requireAdmin(identity, 'look at migrations');
      return findMigration(registry, idOrVolume);
    },

    /** The last migration of each of these volumes; those that never moved are not in it. */
    async lastMigrationsOf(volumeIds: readonly string[]): Promise<Map<string, LastMigration>> {
      requireAdmin(identity, 'look at migrations');
      return volumeIds.length === 0 ? new Map() : lastMigrations(registry, volumeIds);
    },

    /** The audit records that fit, the last begun first. */
    async listMigrations(filter: MigrationFilter = {}): Promise<MigrationRecord[]> {
      requireAdmin(identity, 'list migrations');
      return listMigrations(registry, filter);
    },
  };
}
