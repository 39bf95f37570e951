import { nodeOf } from '../../model/ids.ts';
import {
  verifyModeFor,
  type ClaimedMigration,
  type Evidence,
  type Proof,
  type VerifyMode,
} from '../../model/migration.ts';
import { formatBytes } from '../../model/sizes.ts';
import { registry, storageSteps, storageTransfers } from '../activities.ts';
import { allOrNone } from '../all-or-none.ts';
import type { CleanUpStep, Successor } from '../clean-up-steps.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';
import { guardSource } from './guard-source.ts';
import { verify } from './verify.ts';

/** What a flow leaves for the switch and for afterwards. */
export interface FlowResult {
  digest: string | null;
  proof: Proof;
  /** Null, or none: nothing was compared. */
  evidence?: Evidence | null;
  transferredBytes: number;
  /** Of an attached volume: how its hypervisor reaches it from now on. */
  attachment?: { id: string; connection: Record<string, unknown> };
  /** What holds the volume from the switch on. */
  destination: Successor;
  /** To be done when that has said so, in order. */
  cleanUp: CleanUpStep[];
  /** Does what comes between the proof and the switch; when that fails, a copy stays whose source is lost. None: there is no copy. */
  untilSwitch?: (last: () => Promise<void>) => Promise<void>;
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

  const guard = guardSource(run, m, undo);
  undo.push({ kind: 'deleteDestination', ...there }, { kind: 'removeExport', ...exported });
  const exportSource = (patienceSeconds: number) =>
    storageSteps(nodeOf(source.backEnd), patienceSeconds).exportSource.executeWithOptions(
      { summary: `export ${source.deviceName} read-only from ${source.backEnd}` },
      [{ ...source, exportName, sizeBytes, volumeId, migrationId }],
    );
  const prepare = () =>
    storageSteps(nodeOf(destination.backEnd), patience).prepareDestination.executeWithOptions(
      { summary: `make ${deviceName} (${formatBytes(sizeBytes)}) on ${destination.backEnd}` },
      [{ ...there, volumeId, sizeBytes, generation: claim.epoch, labels: m.labels }],
    );
  const holdAndExport = async () => {
    await guard.hold();
    return exportSource(patience);
  };
  let [device, address] = await allOrNone(prepare, holdAndExport);

  run.throwIfCancelled();
  run.verifying(verifyModeFor(run.request.verify, address));
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
            readBack: comparesAll(run.state.verify),
          },
        ],
      ),
    async (left) => {
      address = await exportSource(left);
      if (!address.tls) run.verifying(verifyModeFor(run.request.verify, address));
    },
  );
  const record = registry.enterPhase.executeWithOptions({ summary: 'record: copying' }, [
    { claim, phase: 'copying', migrationStatus: 'migrating' },
  ]);
  const [copied] = await Promise.all([copying, record]);

  const proven = await guard.keepingCopy(() => verify(run, m, deviceName, copied));
  return {
    digest: digest ? copied.chain : null,
    ...proven,
    transferredBytes: copied.transferred,
    destination: { ...there, volumeId, generation: claim.epoch, identity: device.identity, sizeBytes },
    cleanUp: [retiring(m, exportName)],
    untilSwitch: guard.untilSwitch,
  };
}

/** Whether the destination is read back and compared. */
const comparesAll = (how: VerifyMode | null) => how === 'both' || how === 'reread';

/** What becomes of the source of a migration, once another device holds its volume. */
export function retiring({ claim, source }: ClaimedMigration, exportName: string): CleanUpStep {
  const { backEnd, deviceName, identity } = source;
  const { volumeId, migrationId } = claim;
  return { kind: 'retireSource', backEnd, deviceName, identity, volumeId, migrationId, exportName };
}
