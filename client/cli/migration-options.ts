import type { Command } from 'commander';
import { verifyMode, type VerifyMode } from '../../model/migration.ts';
import { bandwidth } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { detachFromMigration, followMigration, resultLine } from './follow-migration.ts';
import type { Session } from './session.ts';

/** How fast, how proven, waited for or not: the options of all commands that move one volume. */
export interface MigrationOptions {
  bandwidth?: number | null;
  verify?: VerifyMode;
  forceHostCopy?: true;
  dryRun?: true;
  detach?: true;
  wait: boolean;
}

/** `asked`: who is asked for a dry run. */
export function addMigrationOptions(command: Command, asked = 'the registry'): Command {
  return command
    .option('--bandwidth <rate>', 'at most so fast, e.g. 100MiB/s', checked('bandwidth', bandwidth))
    .option(
      '--verify <how>',
      "both: read source and destination once more and compare; reread: only the destination, where the nodes speak TLS, else both (default); inline: only record the digest of what arrived; none. The two sides of a running guest's mirror are compared unless it is inline or none",
      checked('verify', verifyMode),
    )
    .option('--force-host-copy', 'copy from host to host, even if the storage could move it itself')
    .option('--dry-run', `only say what would be done, or every reason why not; asks ${asked}`)
    .option('-d, --detach', 'do not wait for the end')
    .option('--no-wait', 'the same as --detach');
}

/** What the options say, as a request has it. */
export function migrationSettingsOf(o: MigrationOptions) {
  return { bandwidth: o.bandwidth ?? null, verify: o.verify ?? null, forceHostCopy: o.forceHostCopy ?? false };
}

/**
 * Follows what `start` began for the volume `moving`, to its end and with its result; or only says that it has begun, when nobody wants to wait. Null from `start`:
 * it is done, and answered, already.
 */
export async function carryOut(
  session: Session,
  moving: string,
  options: MigrationOptions,
  start: () => Promise<{ migrationId: string; volumeId: string; destination: string } | null>,
): Promise<void> {
  const detach = options.detach ?? !options.wait;
  if (!detach) detachFromMigration(moving, 'asked');
  const started = await start();
  if (!started) return;
  const { migrationId, volumeId, destination } = started;
  if (detach) {
    session.answer(
      started,
      `Volume ${volumeId} moves to ${destination} (migration ${migrationId}).\nWatch it: ferry migration watch ${volumeId}`,
    );
    return;
  }
  const record = await followMigration(session, volumeId, { migrationId });
  const line = resultLine(record);
  session.answer(record, line);
}
