import { ApplicationFailure } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import type { Checkpoint, ClaimedMigration } from '../../model/migration.ts';
import { formatBytes } from '../../model/sizes.ts';
import { registry, storageSteps, storageTransfers } from '../activities.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';

/** What a flow leaves for the switch and for afterwards. */
export interface FlowResult {
  digest: string | null;
  transferredBytes: number;
  /** Of an attached volume: how its hypervisor reaches it from now on. */
  attachment?: { id: string; connection: Record<string, unknown> };
  /** To be done after the switch, in order. */
  cleanUp: CleanUpStep[];
}

/**
 * Flow B: the destination makes a device, the source exports its own read-only, the destination pulls, and proves what it
 * holds. The source is only read. Every step's undo is in `undo` before the step begins.
 */
export async function genericDetached(
  run: MigrationRun,
  m: ClaimedMigration,
  deviceName: string,
  undo: CleanUpStep[],
): Promise<FlowResult> {
  const { claim, source, destination, sizeBytes } = m;
  const { migrationId, volumeId } = claim;
  const patience = run.request.nodeTimeoutSeconds;
  const there = { backEnd: destination.backEnd, deviceName, migrationId };
  const exportName = `migration-${migrationId}`;
  const exported = { backEnd: source.backEnd, exportName };

  undo.push({ kind: 'deleteDestination', ...there }, { kind: 'removeExport', ...exported });
  const exportSource = (patienceSeconds: number) =>
    storageSteps(nodeOf(source.backEnd), patienceSeconds).exportSource.executeWithOptions(
      { summary: `export ${source.deviceName} read-only from ${source.backEnd}` },
      [{ ...exported, deviceName: source.deviceName, sizeBytes, volumeId, migrationId }],
    );
  let [device, address] = await Promise.all([
    storageSteps(nodeOf(destination.backEnd), patience).prepareDestination.executeWithOptions(
      { summary: `make ${deviceName} (${formatBytes(sizeBytes)}) on ${destination.backEnd}` },
      [{ ...there, volumeId, sizeBytes }],
    ),
    exportSource(patience),
  ]);

  run.throwIfCancelled();
  run.enter('copying');
  const transfers = storageTransfers(nodeOf(destination.backEnd), patience);
  const digest = run.request.verify !== 'none';
  const copying = runTransfer(
    run,
    (from) =>
      transfers.pullVolume.executeWithOptions(
        { summary: `copy ${formatBytes(sizeBytes)} from ${source.backEnd} to ${destination.backEnd}` },
        [
          {
            ...there,
            volumeId,
            sizeBytes,
            source: address,
            readsZero: device.readsZero,
            from,
            bandwidth: run.state.bandwidth,
            digest,
          },
        ],
      ),
    async (left) => {
      address = await exportSource(left);
    },
  );
  const record = registry.enterPhase.executeWithOptions({ summary: 'record: copying' }, [
    { claim, phase: 'copying', migrationStatus: 'migrating' },
  ]);
  const [copied] = await Promise.all([copying, record]);

  if (run.request.verify === 'reread') await verify(run, m, deviceName, copied);
  return {
    digest: digest ? copied.chain : null,
    transferredBytes: copied.transferred,
    cleanUp: [
      { kind: 'retireSource', ...exported, deviceName: source.deviceName, volumeId },
      { kind: 'settleDestination', ...there },
    ],
  };
}

/** Reads the destination back from its device and compares it with what the source served. */
async function verify(run: MigrationRun, m: ClaimedMigration, deviceName: string, copied: Checkpoint): Promise<void> {
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
