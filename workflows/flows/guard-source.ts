import { nodeOf } from '../../model/ids.ts';
import type { ClaimedMigration } from '../../model/migration.ts';
import { storageSteps } from '../activities.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import type { MigrationRun } from '../migration-run.ts';

/** Sees to it that nobody writes to the source of a detached volume while it is copied. What takes it back is in `undo` before it begins. */
export function guardSource(run: MigrationRun, { claim, source, sizeBytes }: ClaimedMigration, undo: CleanUpStep[]) {
  const { volumeId, migrationId } = claim;
  const { backEnd, deviceName } = source;
  const steps = storageSteps(nodeOf(backEnd), run.request.nodeTimeoutSeconds);
  const device = { ...source, volumeId, sizeBytes };
  let lastWrite: string | null = null;
  return {
    async hold(): Promise<void> {
      undo.push({ kind: 'releaseSource', backEnd, deviceName, migrationId });
      const held = await steps.holdSource.executeWithOptions(
        { summary: `see that nobody uses ${deviceName} on ${backEnd}, and let nobody write to it` },
        [{ ...device, migrationId }],
      );
      ({ lastWrite } = held);
    },
    /** Before the switch: nobody has written to it, whatever was done to keep them from it. */
    async check(): Promise<void> {
      await steps.checkSource.executeWithOptions({ summary: `see that nobody has written to ${deviceName}` }, [
        { ...device, lastWrite },
      ]);
    },
  };
}
