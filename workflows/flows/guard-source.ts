import { CancellationScope, patched } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import type { ClaimedMigration } from '../../model/migration.ts';
import { storageSteps } from '../activities.ts';
import { allOrNone } from '../all-or-none.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import { failureOf, reasonOf } from '../failures.ts';
import type { MigrationRun } from '../migration-run.ts';

/** A node that answers does so at once. Seconds. */
const lookSeconds = 20;

/** Sees to it that nobody writes to the source of a detached volume while it is copied. What takes it back is in `undo` before it begins. */
export function guardSource(run: MigrationRun, { claim, source, sizeBytes }: ClaimedMigration, undo: CleanUpStep[]) {
  const { volumeId, migrationId } = claim;
  const { backEnd, deviceName } = source;
  const steps = storageSteps(nodeOf(backEnd), run.request.nodeTimeoutSeconds);
  const device = { ...source, volumeId, sizeBytes };
  let lastWrite: string | null = null;
  /** Before the switch: nobody has written to it, whatever was done to keep them from it. */
  async function check(): Promise<void> {
    await steps.checkSource.executeWithOptions({ summary: `see that nobody has written to ${deviceName}` }, [
      { ...device, lastWrite },
    ]);
  }

  return {
    async hold(): Promise<void> {
      undo.push({ kind: 'releaseSource', backEnd, deviceName, migrationId });
      const held = await steps.holdSource.executeWithOptions(
        { summary: `see that nobody uses ${deviceName} on ${backEnd}, and let nobody write to it` },
        [{ ...device, migrationId }],
      );
      ({ lastWrite } = held);
    },
    check,

    /** What proves the copy once it is made. */
    keepingCopy<T>(prove: () => Promise<T>): Promise<T> {
      return keepCopyUnless(async () => {
        const proven = await prove();
        // Histories of before had it here.
        if (!run.isBrief) await check();
        return proven;
      }, 'a way back asks the source first');
    },

    /** What comes between the proof and the switch, and `check`: two nodes, neither of which needs the other's answer. */
    untilSwitch: (last: () => Promise<void>): Promise<void> =>
      keepCopyUnless(
        run.isBrief ? () => allOrNone(last, check).then(() => undefined) : last,
        'a way back from before the switch asks the source first',
      ),
  };

  /**
   * When what has to be done fails, and the source does not say that it holds the volume, the copy is all that is known to be left of the
   * volume, and stays: the way back does not delete it.
   */
  async function keepCopyUnless<T>(done: () => Promise<T>, patch: string): Promise<T> {
    try {
      return await done();
    } catch (error) {
      const copies = undo.filter((step) => step.kind === 'deleteDestination');
      if (copies.length === 0 || !patched(patch)) throw error;
      const why = await CancellationScope.nonCancellable(whyNotThere);
      if (why === null) throw error;
      for (const copy of copies) undo.splice(undo.indexOf(copy), 1);
      const reason = reasonOf(error);
      const kept = copies.map((copy) => keptWords(volumeId, `${copy.deviceName} on ${copy.backEnd}`, why));
      throw failureOf({ ...reason, message: [reason.message, ...kept].join(' ') });
    }
  }

  /** Null: the source says that it holds the volume. */
  async function whyNotThere(): Promise<string | null> {
    try {
      await storageSteps(nodeOf(backEnd), lookSeconds).proveLive.executeWithOptions(
        { summary: `is the volume still on ${backEnd}?` },
        [device],
      );
      return null;
    } catch (error) {
      return reasonOf(error).message;
    }
  }
}

function keptWords(volumeId: string, copy: string, why: string): string {
  return `The source does not say that it holds the volume (${why}), so the copy is kept: ${copy}. See: ferry repair --dry-run --volume ${volumeId}`;
}
