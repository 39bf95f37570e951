import { ApplicationFailure } from '@temporalio/workflow';
import type { Checkpoint, ClaimedMigration, Evidence, Proof } from '../../model/migration.ts';
import { difference, proofOf } from '../../model/proof.ts';
import { registry } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { allOrNone } from '../all-or-none.ts';
import { digestDevice } from './digest-device.ts';

/** How the copy was proven, and who has read what for it. */
export interface Proven {
  readonly proof: Proof;
  readonly evidence: Evidence | null;
}

export const nothingProven: Proven = { proof: 'none', evidence: null };

/**
 * Proves the copy as `run.state.verify` says: reads the destination back from its device, and the source once more, each by its own node
 * and both at once, and compares them with what arrived. `ChecksumMismatch` when they are not all equal. Nothing is read again where the copy
 * itself was proven while it was made.
 */
export async function verify(
  run: MigrationRun,
  m: ClaimedMigration,
  deviceName: string,
  arrived: Checkpoint,
): Promise<Proven> {
  const how = run.state.verify!;
  if (how === 'none' || how === 'inline') return { proof: how, evidence: null };
  // Range by range, while it was copied: the source's server told what it had read, the copier what the medium gave back.
  if (arrived.proven) {
    const { copiedAgain } = arrived.proven;
    return { proof: 'both', evidence: { source: 'server', destination: 'copier', copiedAgain } };
  }
  const { claim, source, destination } = m;
  run.enter('verifying');
  run.report({ bytesDone: 0, bytesPerSecond: 0 });
  const record = () =>
    registry.enterPhase.executeWithOptions({ summary: 'record: verifying' }, [{ claim, phase: 'verifying' }]);
  const [readBack, sourceNow] = await allOrNone(
    digestDevice.bind(null, run, m, { backEnd: destination.backEnd, deviceName, of: 'migration' }),
    async () => (how === 'both' ? digestDevice(run, m, { ...source, of: 'volume', beside: true }) : null),
    record,
  );
  const names = {
    source: `${source.deviceName} on ${source.backEnd}`,
    destination: `${deviceName} on ${destination.backEnd}`,
  };
  const different = difference({ arrived, readBack, source: sourceNow }, names);
  if (different === null) {
    const source = sourceNow ? 'second read' : null;
    const evidence = { source, destination: 'second read', copiedAgain: 0 } as const;
    return { proof: proofOf(how, [readBack, sourceNow]), evidence };
  }
  throw ApplicationFailure.nonRetryable(
    `${different} The volume stays on ${source.backEnd}.`,
    'ChecksumMismatch',
    // `expected`: what arrived.
    { expected: arrived.chain, found: readBack.chain, source: sourceNow?.chain ?? null },
  );
}
