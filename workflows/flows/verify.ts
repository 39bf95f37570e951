import { ApplicationFailure } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import type { Checkpoint, ClaimedMigration } from '../../model/migration.ts';
import { registry, storageTransfers } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';

/** Reads the destination back from its device and compares it with what the source served. */
export async function verify(
  run: MigrationRun,
  m: ClaimedMigration,
  deviceName: string,
  copied: Checkpoint,
): Promise<void> {
  const { claim, destination, sizeBytes } = m;
  run.enter('verifying');
  run.report({ bytesDone: 0, bytesPerSecond: 0 });
  const reading = runTransfer(
    run,
    (from) =>
      storageTransfers(nodeOf(destination.backEnd), run.request.nodeTimeoutSeconds).digestVolume.executeWithOptions(
        { summary: `read ${deviceName} back and compare` },
        [
          {
            backEnd: destination.backEnd,
            deviceName,
            sizeBytes,
            migrationId: claim.migrationId,
            from,
            bandwidth: run.state.bandwidth,
          },
        ],
      ),
    null,
  );
  const record = registry.enterPhase.executeWithOptions({ summary: 'record: verifying' }, [
    { claim, phase: 'verifying' },
  ]);
  const [read] = await Promise.all([reading, record]);
  if (read.chain === copied.chain) return;
  throw ApplicationFailure.nonRetryable(
    `${deviceName} on ${destination.backEnd} does not hold what ${m.source.backEnd} served; the volume stays on ${m.source.backEnd}. Check the destination's disk, then migrate again.`,
    'ChecksumMismatch',
    { expected: copied.chain, found: read.chain },
  );
}
