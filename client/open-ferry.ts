import { requireDatabaseUrl } from '../configuration/load.ts';
import type { Configuration } from '../configuration/schema.ts';
import { openRegistry } from '../registry/open-registry.ts';
import { adoptionCommands } from './adoption.ts';
import { attachmentCommands } from './attachments.ts';
import { backEndCommands } from './back-ends.ts';
import type { Context } from './context.ts';
import { controlCommands } from './control-migration.ts';
import { hypervisorCommands } from './hypervisors.ts';
import { administrator, type Identity } from './identity.ts';
import { keptSourceCommands } from './kept-sources.ts';
import { migrationCommands } from './migrations.ts';
import { movesControlCommands } from './moves-control.ts';
import { movesCommands } from './moves.ts';
import { repairCommands } from './repair.ts';
import { retypeCommands } from './retype.ts';
import { snapshotCommands } from './snapshots.ts';
import { storageCommands } from './storages.ts';
import type { Temporal } from './temporal.ts';
import { volumeOperationCommands } from './volume-operations.ts';
import { volumeTypeCommands } from './volume-types.ts';
import { volumeCommands } from './volumes.ts';

export type Ferry = Awaited<ReturnType<typeof openFerry>>;

/** Temporal's client takes longer to load than most questions to answer: they do without. */
async function connect(): Promise<Temporal> {
  const { connectToTemporal } = await import('./temporal.ts');
  return connectToTemporal();
}

/**
 * Opens Ferry for a caller: all that a service or the CLI may ask. Everything that is refused or fails is a `FerryError`; Postgres
 * or Temporal that cannot be reached is `ServiceUnreachable`, Temporal's at its first use. Close it in the end.
 */
export async function openFerry(options: { configuration: Configuration; identity?: Identity }) {
  const { configuration, identity = administrator } = options;
  const registry = await openRegistry(requireDatabaseUrl(configuration), { maxConnections: 4 });
  let connecting: Promise<Temporal> | undefined;
  const context: Context = {
    configuration,
    identity,
    registry,
    temporal: () =>
      (connecting ??= connect().catch((error: unknown) => {
        // A try that failed is not remembered: the next use tries again.
        connecting = undefined;
        throw error;
      })),
  };
  return {
    identity,
    ...backEndCommands(context),
    ...storageCommands(context),
    ...volumeCommands(context),
    ...volumeOperationCommands(context),
    ...volumeTypeCommands(context),
    ...retypeCommands(context),
    ...attachmentCommands(context),
    ...hypervisorCommands(context),
    ...snapshotCommands(context),
    ...adoptionCommands(context),
    ...migrationCommands(context),
    ...controlCommands(context),
    ...keptSourceCommands(context),
    ...movesCommands(context),
    ...movesControlCommands(context),
    ...repairCommands(context),
    async close() {
      await connecting?.then(
        (temporal) => temporal.close(),
        () => {},
      );
      await registry.close();
    },
  };
}
