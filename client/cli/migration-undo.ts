import type { Command } from 'commander';
import { bandwidth } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { detachFromMigration, followMigration, resultLine } from './follow-migration.ts';
import { undoText } from './plan-text.ts';
import { withFerry, type Session } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options {
  bandwidth?: number | null;
  dryRun?: true;
  detach?: true;
}

/** `ferry migration undo`: back to the source that the last migration kept. */
export function addMigrationUndo(migration: Command): void {
  migration
    .command('undo')
    .description(
      "go back to the source that the volume's last migration kept (--keep-source), if the volume has not been written since",
    )
    .addArgument(volumeArgument())
    .option('--bandwidth <rate>', 'read at most so fast, e.g. 100MiB/s', checked('bandwidth', bandwidth))
    .option('--dry-run', 'only say what would be done, or every reason why not, by what the registry knows')
    .option('-d, --detach', 'do not wait for the end')
    .action((volumeId: string, options: Options, command: Command) =>
      withFerry(command, (session) =>
        options.dryRun ? showPlan(session, volumeId) : undo(session, volumeId, options),
      ),
    );
}

async function showPlan({ ferry, answer }: Session, volumeId: string): Promise<void> {
  const plan = await ferry.planUndo(volumeId);
  answer(plan, undoText(plan));
  if (!plan.allowed) process.exitCode = exitCodes.refusedOrFailed;
}

async function undo(session: Session, volumeId: string, options: Options): Promise<void> {
  const { ferry, answer } = session;
  if (!options.detach) detachFromMigration(volumeId, 'asked');
  const { migrationId, destination } = await ferry.undoMigration(volumeId, { bandwidth: options.bandwidth ?? null });
  if (options.detach) {
    answer(
      { migrationId, volumeId, destination },
      `Volume ${volumeId} goes back to ${destination} (migration ${migrationId}).\nWatch it: ferry migration watch ${volumeId}`,
    );
    return;
  }
  const record = await followMigration(session, volumeId, { migrationId });
  const line = resultLine(record);
  answer(record, line);
}
