import { ApplicationFailure, CancellationScope } from '@temporalio/workflow';
import { connection as connectionSchema, diskSource, type Connection } from '../../model/connection.ts';
import type { ClaimedMigration } from '../../model/migration.ts';
import { computeSteps, registry } from '../activities.ts';
import { clientKeepsConnection } from '../ask-nodes.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import { diskOf } from '../disk-of.ts';
import type { MigrationRun } from '../migration-run.ts';
import { AttachedDestination } from './attached-destination.ts';
import { AttachedEnding } from './attached-ending.ts';
import { mirrorUntilReady } from './attached-mirror.ts';
import { unmapUnderHeldMirror } from './attached-unmap.ts';
import { MirrorComparison } from './compare-mirror.ts';
import { retiring, type FlowResult } from './generic-detached.ts';
import { nothingProven, type Proven } from './verify.ts';

/** Where each is disturbed, or its mirror lost, the volume takes its whole size in the end. */
const mostUnmappings = 5;

/**
 * Flow C: the destination makes a device and lets the hypervisor of the guest reach it; the hypervisor mirrors the running guest's disk
 * onto it, and turns the guest to it. The guest's turn is the point of no return: whatever fails before is taken back, whatever fails
 * after is tried until it is done. Which side of it we are on is asked of the guest's QEMU each time.
 */
export async function genericAttached(
  run: MigrationRun,
  m: ClaimedMigration,
  deviceName: string,
  undo: CleanUpStep[],
): Promise<FlowResult> {
  const { claim } = m;
  const { attachment, connection, from, sourceExport } = await inspectAttached(run, m);
  const computeHost = attachment.computeHost;

  const destination = new AttachedDestination(run, m, deviceName, computeHost);
  undo.push(...destination.undo);
  await destination.prepare();
  const disk = { computeHost, ...diskOf(attachment, connection), source: from };

  run.throwIfCancelled();
  run.enter('copying');
  await registry.enterPhase.executeWithOptions({ summary: 'record: copying' }, [
    { claim, phase: 'copying', migrationStatus: 'migrating' },
  ]);
  const ending = new AttachedEnding(run, claim, disk, destination);
  const comparison = new MirrorComparison(run, m, disk, destination, undo);
  let transferredBytes = 0;
  let round = 0;
  let proven: Proven | null = null;
  try {
    do {
      proven = null;
      run.enter('copying');
      transferredBytes = await mirrorUntilReady(run, disk, destination);
      while (destination.zerosTakeRoom && round < mostUnmappings) {
        round += 1;
        const unmapped = await unmapUnderHeldMirror(run, disk, destination, { sizeBytes: m.sizeBytes, round });
        transferredBytes = await mirrorUntilReady(run, disk, destination);
        if (unmapped) break;
      }
      proven = await comparison.prove();
    } while (!proven || !(await ending.pivot()));
  } catch (error) {
    if ((await ending.retreat()) === 'source') throw error;
  }
  run.enter('switching');
  // What ended the destination's export on the way must not leave the guest without its disk.
  await CancellationScope.nonCancellable(() => destination.restoreIfEnded());

  return {
    // Of bytes that change there is none.
    digest: null,
    ...(proven ?? nothingProven),
    transferredBytes,
    attachment: { id: attachment.id, connection: { ...destination.connection, ...domainOf(connection) } },
    destination: destination.successor,
    cleanUp: [retiring(m, sourceExport)],
  };
}

/** The guest's disk, or the refusal: nothing is made before. */
async function inspectAttached(run: MigrationRun, m: ClaimedMigration) {
  const { claim, source, sizeBytes } = m;
  const { volumeId } = claim;
  const attachments = await registry.attachmentsOf({ volumeId });
  const [attachment] = attachments;
  if (!attachment || attachments.length > 1)
    throw refusal(
      'VolumeStatusRefused',
      `Volume ${volumeId} has ${attachments.length} attachments; it moves with one.`,
    );
  if (attachment.isClients) throw refusal('InstanceNotReady', clientKeepsConnection(attachment).message);
  const connection = connectionSchema.safeParse(attachment.connection).data;
  if (!connection || !attachment.hasComputeWorker) throw refusal('InstanceNotReady', notManaged(attachment));
  const from = diskSource(connection);
  await computeSteps(attachment.computeHost, run.request.nodeTimeoutSeconds).inspectDisk.executeWithOptions(
    { summary: `look at the disk of instance ${attachment.instanceId} on ${attachment.computeHost}` },
    [{ ...diskOf(attachment, connection), source: from, sizeBytes }],
  );
  // One that is used directly has no export; then there is none of this name to end.
  const sourceExport = connection.protocol === 'nbd' ? connection.exportName : source.deviceName;
  return { attachment, connection, from, sourceExport };
}

/** The guest is the same, wherever its volume is. */
function domainOf({ domain }: Connection): Pick<Connection, 'domain'> {
  return domain ? { domain } : {};
}

function notManaged({ volumeId, computeHost }: { volumeId: string; computeHost: string }): string {
  return (
    `Volume ${volumeId} is attached on ${computeHost}, where no compute worker was ever heard of, and only that could mirror it. ` +
    'Start one there (ferry worker compute), or detach the volume first.'
  );
}

function refusal(type: 'VolumeStatusRefused' | 'InstanceNotReady', message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}
