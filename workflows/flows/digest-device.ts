import { nodeOf } from '../../model/ids.ts';
import type { Checkpoint, ClaimedMigration } from '../../model/migration.ts';
import { storageTransfers } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';

interface Read {
  backEnd: string;
  deviceName: string;
  /** Whose device it is: the volume's; or one that this migration makes. */
  of: 'volume' | 'migration';
  /** It is read beside another whose progress is shown. */
  beside?: boolean;
}

/** Has a device's own node read it from its medium; answers its digest. */
export function digestDevice(
  run: MigrationRun,
  { claim, sizeBytes }: ClaimedMigration,
  { backEnd, deviceName, of, beside = false }: Read,
): Promise<Checkpoint> {
  const { volumeId, migrationId } = claim;
  return runTransfer(
    run,
    (from) =>
      storageTransfers(nodeOf(backEnd), run.request.nodeTimeoutSeconds).digestVolume.executeWithOptions(
        { summary: `read ${deviceName} on ${backEnd}, to compare` },
        [
          {
            backEnd,
            deviceName,
            sizeBytes,
            migrationId,
            from,
            bandwidth: run.state.bandwidth,
            ...(of === 'volume' && { volumeId }),
            ...(beside && { beside }),
          },
        ],
      ),
    null,
    { shown: !beside },
  );
}
