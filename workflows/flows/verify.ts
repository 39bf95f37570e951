import { ApplicationFailure } from '@temporalio/workflow';
import type { Checkpoint, ClaimedMigration, Proof } from '../../model/migration.ts';
import { difference, proofOf } from '../../model/proof.ts';
import { registry } from '../activities.ts';
import type { MigrationRun } from '../migration-run.ts';
import { allOrNone } from '../all-or-none.ts';
import { digestDevice } from './digest-device.ts';

/**
 * Proves the copy as `run.state.verify` says: reads the destination back from its device, and the source once more, each by its own node
 * and both at once, and compares them with what arrived. `ChecksumMismatch` when they are not all equal.
 */
export async function verify(
  run: MigrationRun,
  m: ClaimedMigration,
  deviceName: string,
  arrived: Checkpoint,
): Promise<Proof> {
  const how = run.state.verify!;
  if (how === 'none' || how === 'inline') return how;
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
  if (different === null) return proofOf(how, [readBack, sourceNow]);
  throw ApplicationFailure.nonRetryable(
    `${different} The volume stays on ${source.backEnd}.`,
    'ChecksumMismatch',
    // `expected`: what arrived.
    { expected: arrived.chain, found: readBack.chain, source: sourceNow?.chain ?? null },
  );
}
