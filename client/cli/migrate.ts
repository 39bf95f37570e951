import { Argument, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { keepSourceOption } from './keep-source-option.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { addMigrationOptions, carryOut, migrationSettingsOf, type MigrationOptions } from './migration-options.ts';
import { planText } from './plan-text.ts';
import { withFerry, type Session } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options extends MigrationOptions {
  keepSource?: number;
}

/** `ferry migrate`: moves a volume and shows how it goes. */
export function addMigrate(program: Command): void {
  addMigrationOptions(
    program
      .command('migrate')
      .description('move a volume to another back end; waits and shows progress, Ctrl-C detaches')
      .addArgument(volumeArgument())
      .addArgument(new Argument('<host>', 'where to: a back end, node@name').argParser(checked('host', backEndName))),
    'the registry, both nodes and the hypervisor',
  )
    .addOption(keepSourceOption())
    .action((volumeId: string, destination: string, options: Options, command: Command) =>
      withFerry(command, (session) =>
        options.dryRun
          ? showPlan(session, volumeId, destination, options)
          : carryOut(session, options, async () => {
              const keepSourceSeconds = options.keepSource ?? null;
              const request = { volumeId, destination, ...migrationSettingsOf(options), keepSourceSeconds };
              const { migrationId } = await session.ferry.startMigration(request);
              return { migrationId, volumeId, destination };
            }),
      ),
    );
}

async function showPlan(
  { ferry, answer }: Session,
  volumeId: string,
  destination: string,
  options: MigrationOptions,
): Promise<void> {
  const plan = await ferry.examineMigration({ volumeId, destination, forceHostCopy: options.forceHostCopy ?? false });
  answer(plan, planText(plan));
  if (!plan.allowed) process.exitCode = exitCodes.refusedOrFailed;
}
