import { requireDatabaseUrl } from '../configuration/load.ts';
import type { Configuration } from '../configuration/schema.ts';
import { openRegistry } from '../registry/open-registry.ts';
import { adoptionCommands } from './adoption.ts';
import { attachmentCommands } from './attachments.ts';
import { clientAttachmentCommands } from './client-attachments.ts';
import { backEndCommands } from './back-ends.ts';
import { cinderImportCommands } from './cinder-import/import-cinder.ts';
import type { Context } from './context.ts';
import { controlCommands } from './control-migration.ts';
import { eventCommands } from './events.ts';
import { hypervisorCommands } from './hypervisors.ts';
import { administrator, type Identity } from './identity.ts';
import { keptSourceCommands } from './kept-sources.ts';
import { migrationCommands } from './migrations.ts';
import { movesControlCommands } from './moves-control.ts';
import { movesCommands } from './moves.ts';
import { quotaCommands } from './quotas.ts';
import { repairCommands } from './repair.ts';
import { retypeCommands } from './retype.ts';
import { snapshotCommands } from './snapshots.ts';
import { storageCommands } from './storages.ts';
import type { Temporal } from './temporal.ts';
import { transferCommands } from './transfers.ts';
import { volumeOperationCommands } from './volume-operations.ts';
import { volumeTypeCommands } from './volume-types.ts';
import { volumeCommands } from './volumes.ts';

/** All that a caller may ask. */
export type Ferry = ReturnType<typeof commands>;

/** Ferry, as a service has it open for all of its callers. */
export interface OpenFerry {
  /** Ferry for one caller; costs nothing. */
  as(identity: Identity): Ferry;
  close(): Promise<void>;
}

/** Temporal's client takes longer to load than most questions to answer: they do without. */
async function connect(): Promise<Temporal> {
  const { connectToTemporal } = await import('./temporal.ts');
  return connectToTemporal();
}

function commands(context: Context) {
  return {
    identity: context.identity,
    ...backEndCommands(context),
    ...storageCommands(context),
    ...volumeCommands(context),
    ...volumeOperationCommands(context),
    ...volumeTypeCommands(context),
    ...retypeCommands(context),
    ...attachmentCommands(context),
    ...clientAttachmentCommands(context),
    ...hypervisorCommands(context),
    ...snapshotCommands(context),
    ...quotaCommands(context),
    ...transferCommands(context),
    ...adoptionCommands(context),
    ...cinderImportCommands(context),
    ...migrationCommands(context),
    ...controlCommands(context),
    ...keptSourceCommands(context),
    ...movesCommands(context),
    ...movesControlCommands(context),
    ...repairCommands(context),
    ...eventCommands(context),
  };
}

/**
 * Opens Ferry for a service with many callers, on a registry whose schema is up to date. Everything that is refused or fails is a `FerryError`; Postgres or Temporal that cannot be
 * reached is `ServiceUnreachable`, Temporal's at its first use. `answers`: see `Context`. Close it in the end.
 */
export async function openForCallers(options: {
  configuration: Configuration;
  answers: Context['answers'];
  maxConnections: number;
}): Promise<OpenFerry> {
  const { configuration, answers, maxConnections } = options;
  const registry = await openRegistry(requireDatabaseUrl(configuration), { maxConnections, migrates: false });
  let connecting: Promise<Temporal> | undefined;
  const temporal = () =>
    (connecting ??= connect().catch((error: unknown) => {
      // A try that failed is not remembered: the next use tries again.
      connecting = undefined;
      throw error;
    }));
  return {
    as: (identity) => commands({ configuration, identity, registry, answers, temporal }),
    async close() {
      await connecting?.then(
        (connected) => connected.close(),
        () => {},
      );
      await registry.close();
    },
  };
}

/** The same for one caller, who waits for the end of what he asks for: what the CLI and other programs use. */
export async function openFerry(options: {
  configuration: Configuration;
  identity?: Identity;
}): Promise<Ferry & { close(): Promise<void> }> {
  const { configuration, identity = administrator } = options;
  const opened = await openForCallers({ configuration, answers: 'at the end', maxConnections: 4 });
  return { ...opened.as(identity), close: () => opened.close() };
}
