import { nodeOf } from '../../model/ids.ts';
import { verifyModeFor, type ClaimedMigration } from '../../model/migration.ts';
import { deviceName } from '../../model/names.ts';
import { formatBytes } from '../../model/sizes.ts';
import { registry, storageSteps, storageTransfers } from '../activities.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';
import { retiring, type FlowResult } from './generic-detached.ts';
import { guardSource } from './guard-source.ts';
import { verify } from './verify.ts';

/**
 * Flow A: both back ends are on one node, which moves the volume itself: no export, no network. Where the storage can, the bytes are not
 * even copied. The device keeps its name, unless both back ends are in one volume group: then it gets the one with `destinationNameId`.
 * Unlike Cinder's LVM driver, the source goes only after the switch is durable.
 */
export async function assisted(
  run: MigrationRun,
  m: ClaimedMigration & { destinationNameId: string },
  undo: CleanUpStep[],
): Promise<FlowResult> {
  const { claim, destination, sizeBytes } = m;
  const { migrationId, volumeId } = claim;
  const node = nodeOf(destination.backEnd);
  const patience = run.request.nodeTimeoutSeconds;
  const source = { ...m.source, volumeId };
  let there = { backEnd: destination.backEnd, deviceName: source.deviceName, migrationId };

  const make = () => {
    undo.push({ kind: 'deleteDestination', ...there });
    return storageSteps(node, patience).prepareLocalMove.executeWithOptions(
      { summary: `make ${there.deviceName} (${formatBytes(sizeBytes)}) on ${there.backEnd}` },
      // What is kept must not change with what the volume's next user writes.
      [
        {
          ...there,
          volumeId,
          sizeBytes,
          generation: claim.epoch,
          labels: m.labels,
          source,
          mayShare: run.request.keepSourceSeconds === null,
        },
      ],
    );
  };
  let device = await make();
  if (device.nameTaken) {
    run.throwIfCancelled();
    const nameId = m.destinationNameId;
    there = { ...there, deviceName: deviceName({ id: volumeId, nameId }) };
    await registry.nameDestination.executeWithOptions({ summary: `record: its new name is ${there.deviceName}` }, [
      { claim, nameId },
    ]);
    device = await make();
  }
  const moved = {
    destination: { ...there, volumeId, generation: claim.epoch, identity: device.identity, sizeBytes },
    // There is no export to end: nothing of that name was made.
    cleanUp: [retiring(m, `migration-${migrationId}`)],
  };
  run.throwIfCancelled();
  run.enter('copying');
  const record = () =>
    registry.enterPhase.executeWithOptions({ summary: 'record: copying' }, [
      { claim, phase: 'copying', migrationStatus: 'migrating' },
    ]);
  if (device.shared) {
    await record();
    run.report({ bytesDone: sizeBytes, bytesPerSecond: 0 });
    return { digest: null, proof: 'shared', transferredBytes: 0, ...moved };
  }
  const guard = guardSource(run, m, undo);
  await guard.hold();
  // No TLS within a node: what went through its memory and its copier is compared with its source.
  run.verifying(verifyModeFor(run.request.verify, { tls: false }));
  const digest = run.request.verify !== 'none';
  const copying = runTransfer(
    run,
    (from) =>
      storageTransfers(node, patience).copyVolume.executeWithOptions(
        { summary: `copy ${formatBytes(sizeBytes)} from ${source.backEnd} to ${destination.backEnd}` },
        [
          {
            ...there,
            volumeId,
            sizeBytes,
            source,
            readsZero: device.readsZero,
            from,
            bandwidth: run.state.bandwidth,
            digest,
          },
        ],
      ),
    null,
  );
  const [copied] = await Promise.all([copying, record()]);
  const proven = await guard.keepingCopy(() => verify(run, m, there.deviceName, copied));
  const { untilSwitch } = guard;
  return {
    digest: digest ? copied.chain : null,
    ...proven,
    transferredBytes: copied.transferred,
    ...moved,
    untilSwitch,
  };
}
