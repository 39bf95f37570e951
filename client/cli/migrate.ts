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
  auto?: true;
  keepSource?: number;
}

/** `ferry migrate`: moves a volume and shows how it goes. */
export function addMigrate(program: Command): void {
  addMigrationOptions(
    program
      .command('migrate')
      .description('move a volume to another back end; waits and shows progress, Ctrl-C detaches')
      .addArgument(volumeArgument())
      .addArgument(
        new Argument('[host]', 'where to: a back end, node@name; or --auto').argParser(checked('host', backEndName)),
      )
      .option('--auto', 'to the back end of its zone and type that is the least full with it'),
    'the registry, both nodes and the hypervisor',
  )
    .addOption(keepSourceOption())
    .action((volumeId: string, host: string | undefined, options: Options, command: Command) => {
      if ((host === undefined) === (options.auto === undefined))
        command.error(`error: name either a host or --auto, not ${host === undefined ? 'none' : 'both'}`);
      return withFerry(command, (session) =>
        options.dryRun
          ? showPlan(session, volumeId, host, options)
          : carryOut(session, volumeId, options, async () => {
              const keepSourceSeconds = options.keepSource ?? null;
              const request = { volumeId, destination: host, ...migrationSettingsOf(options), keepSourceSeconds };
              const { migrationId, destination } = await session.ferry.startMigration(request);
              return { migrationId, volumeId, destination };
            }),
      );
    });
}

async function showPlan(
  { ferry, answer }: Session,
  volumeId: string,
  destination: string | undefined,
  options: MigrationOptions,
): Promise<void> {
  const plan = await ferry.examineMigration({ volumeId, destination, forceHostCopy: options.forceHostCopy ?? false });
  answer(plan, planText(plan));
  if (!plan.allowed) process.exitCode = exitCodes.refusedOrFailed;
}
