import { ApplicationFailure } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import type { Checkpoint, ClaimedMigration } from '../../model/migration.ts';
import { registry, storageTransfers } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';
import type { FlowResult } from './generic-detached.ts';

/**
 * The way back to the source that an earlier migration kept. Both devices are only read: when they hold the same bytes, nothing has been
 * written since, or nothing that matters, and the switch may come. There is nothing to take back: nothing is made.
 */
export async function returnToKept(run: MigrationRun, m: ClaimedMigration): Promise<FlowResult> {
  const { claim, source, destination } = m;
  const { volumeId, migrationId } = claim;
  const { deviceName, migrationId: undone } = m.undoes!;
  const kept = { backEnd: destination.backEnd, deviceName };
  run.enter('verifying');
  const record = registry.enterPhase.executeWithOptions({ summary: 'record: verifying' }, [
    { claim, phase: 'verifying', migrationStatus: 'migrating' },
  ]);
  const [there] = await Promise.all([digest(run, m, kept), record]);
  run.report({ bytesDone: 0, bytesPerSecond: 0 });
  const here = await digest(run, m, source);
  if (here.chain !== there.chain) {
    throw ApplicationFailure.nonRetryable(
      `Volume ${volumeId} has been written since migration ${undone} moved it: ${source.deviceName} on ${source.backEnd} and ${deviceName} on ${kept.backEnd}, its kept source, do not hold the same. The volume stays on ${source.backEnd}, and the source is kept as before. To go back with what the volume holds now: ferry migrate ${volumeId} ${kept.backEnd}`,
      'VolumeWrittenSince',
      { volumeId, undoes: undone, kept: there.chain, found: here.chain },
    );
  }
  return {
    digest: here.chain,
    transferredBytes: 0,
    cleanUp: [
      // No export was made: there is none of this name to end.
      { kind: 'retireSource', ...source, volumeId, exportName: `migration-${migrationId}` },
      { kind: 'settleDestination', ...kept, migrationId, keptBy: undone },
    ],
  };
}

function digest(
  run: MigrationRun,
  { claim, sizeBytes }: ClaimedMigration,
  device: { backEnd: string; deviceName: string },
): Promise<Checkpoint> {
  const { volumeId, migrationId } = claim;
  return runTransfer(
    run,
    (from) =>
      storageTransfers(nodeOf(device.backEnd), run.request.nodeTimeoutSeconds).digestVolume.executeWithOptions(
        { summary: `read ${device.deviceName} on ${device.backEnd}, to compare` },
        [{ ...device, volumeId, sizeBytes, migrationId, from, bandwidth: run.state.bandwidth }],
      ),
    null,
  );
}
