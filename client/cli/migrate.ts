import { Argument, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { verifyMode, type VerifyMode } from '../../model/migration.ts';
import { bandwidth } from '../../model/sizes.ts';
import { keepSourceOption } from './keep-source-option.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { detachOnInterrupt, followMigration, resultLine } from './follow-migration.ts';
import { planText } from './plan-text.ts';
import { withFerry, type Session } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options {
  bandwidth?: number | null;
  verify: VerifyMode;
  forceHostCopy?: true;
  keepSource?: number;
  dryRun?: true;
  detach?: true;
  wait: boolean;
}

/** `ferry migrate`: moves a volume and shows how it goes. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('move a volume to another back end; waits and shows progress, Ctrl-C detaches')
    .addArgument(volumeArgument())
    .addArgument(new Argument('<host>', 'where to: a back end, node@name').argParser(checked('host', backEndName)))
    .option('--bandwidth <rate>', 'at most so fast, e.g. 100MiB/s', checked('bandwidth', bandwidth))
    .option(
      '--verify <how>',
      'reread: read the destination back and compare; inline: only record the digest of what arrived; none',
      checked('verify', verifyMode),
      'reread',
    )
    .option('--force-host-copy', 'copy from host to host, even if the storage could move it itself')
    .addOption(keepSourceOption())
    .option('--dry-run', 'only say what would be done, or every reason why not')
    .option('-d, --detach', 'do not wait for the end')
    .option('--no-wait', 'the same as --detach')
    .action((volumeId: string, destination: string, options: Options, command: Command) =>
      withFerry(command, (session) =>
        options.dryRun
          ? showPlan(session, volumeId, destination, options)
          : migrate(session, volumeId, destination, options),
      ),
    );
}

async function showPlan(
  { ferry, answer }: Session,
  volumeId: string,
  destination: string,
  options: Options,
): Promise<void> {
  const plan = await ferry.planMigration({ volumeId, destination, forceHostCopy: options.forceHostCopy ?? false });
  answer(plan, planText(plan));
  if (!plan.allowed) process.exitCode = exitCodes.refusedOrFailed;
}

async function migrate(session: Session, volumeId: string, destination: string, options: Options): Promise<void> {
  const { ferry, answer } = session;
  const detach = options.detach ?? !options.wait;
  const signal = detach ? new AbortController().signal : detachOnInterrupt();
  const { migrationId } = await ferry.startMigration({
    volumeId,
    destination,
    bandwidth: options.bandwidth ?? null,
    verify: options.verify,
    forceHostCopy: options.forceHostCopy ?? false,
    keepSourceSeconds: options.keepSource ?? null,
  });
  if (detach) {
    answer(
      { migrationId, volumeId, destination },
      `Volume ${volumeId} moves to ${destination} (migration ${migrationId}).\nWatch it: ferry migration watch ${volumeId}`,
    );
    return;
  }
  const record = await followMigration(session, volumeId, { migrationId, signal });
  if (!record) return;
  const line = resultLine(record);
  answer(record, line);
}
