import { ApplicationFailure } from '@temporalio/workflow';
import type { ClaimedMigration } from '../../model/migration.ts';
import { proofOf } from '../../model/proof.ts';
import { registry } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { digestDevice } from './digest-device.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import { retiring, type FlowResult } from './generic-detached.ts';
import { guardSource } from './guard-source.ts';

/**
 * The way back to the source that an earlier migration kept. Both devices are only read: when they hold the same bytes, nothing has been
 * written since, or nothing that matters, and the switch may come. Nothing is made: all that is to take back is that the source cannot be written to.
 */
export async function returnToKept(run: MigrationRun, m: ClaimedMigration, undo: CleanUpStep[]): Promise<FlowResult> {
  const { claim, source, destination, sizeBytes } = m;
  const { volumeId, migrationId } = claim;
  const { deviceName, migrationId: undone, identity } = m.undoes!;
  const kept = { backEnd: destination.backEnd, deviceName };
  run.enter('verifying');
  const record = registry.enterPhase.executeWithOptions({ summary: 'record: verifying' }, [
    { claim, phase: 'verifying', migrationStatus: 'migrating' },
  ]);
  const guard = guardSource(run, m, undo);
  await guard.hold();
  const [there] = await Promise.all([digestDevice(run, m, { ...kept, of: 'volume' }), record]);
  run.report({ bytesDone: 0, bytesPerSecond: 0 });
  const here = await digestDevice(run, m, { ...source, of: 'volume' });
  if (here.chain !== there.chain) {
    throw ApplicationFailure.nonRetryable(
      `Volume ${volumeId} has been written since migration ${undone} moved it: ${source.deviceName} on ${source.backEnd} and ${deviceName} on ${kept.backEnd}, its kept source, do not hold the same. The volume stays on ${source.backEnd}, and the source is kept as before. To go back with what the volume holds now: ferry migrate ${volumeId} ${kept.backEnd}`,
      'VolumeWrittenSince',
      { volumeId, undoes: undone, kept: there.chain, found: here.chain },
    );
  }
  await guard.check();
  return {
    digest: here.chain,
    proof: proofOf('both', [here, there]),
    evidence: { source: 'second read', destination: 'second read', copiedAgain: 0 },
    transferredBytes: 0,
    destination: { ...kept, volumeId, migrationId, generation: claim.epoch, identity, sizeBytes, keptBy: undone },
    // No export was made: there is none of this name to end.
    cleanUp: [retiring(m, `migration-${migrationId}`)],
  };
}
