import type { Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { migrationPolicy, type MigrationPolicy, type RetypePlan } from '../retype.ts';
import { answerVolume } from './answer-volume.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { addMigrationOptions, carryOut, migrationSettingsOf, type MigrationOptions } from './migration-options.ts';
import { planText } from './plan-text.ts';
import { withFerry } from './session.ts';
import { typeArgument } from './type-properties.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options extends MigrationOptions {
  migrationPolicy: MigrationPolicy;
  to?: string;
}

/** `ferry retype`: another type for a volume, where it is or by moving it. */
export function addRetype(program: Command): void {
  addMigrationOptions(
    program
      .command('retype')
      .description('give a volume another type; if it may and has to move for that, waits as `ferry migrate` does')
      .addArgument(volumeArgument())
      .addArgument(typeArgument('the new type, by name or id'))
      .option(
        '--migration-policy <policy>',
        'when its back end lacks what the type asks for: never move the volume, or on-demand',
        checked('migration-policy', migrationPolicy),
        'never',
      )
      .option('--to <host>', 'where to, if it has to move; else chosen', checked('to', backEndName)),
  ).action((volumeId: string, type: string, options: Options, command: Command) =>
    withFerry(command, async (session) => {
      const { ferry, answer } = session;
      const request = { volumeId, type, migrationPolicy: options.migrationPolicy, destination: options.to };
      if (options.dryRun) {
        const plan = await ferry.planRetype(request, migrationSettingsOf(options));
        answer(plan, retypePlanText(plan));
        if (!plan.allowed) process.exitCode = exitCodes.refusedOrFailed;
        return;
      }
      await carryOut(session, volumeId, options, async () => {
        const retyped = await ferry.retypeVolume(request, migrationSettingsOf(options));
        if (retyped.migration) return { volumeId, ...retyped.migration };
        await answerVolume(session, retyped.volume);
        return null;
      });
    }),
  );
}

/** What a retype would do, or every reason why it would be refused. */
export function retypePlanText(plan: RetypePlan): string {
  const change = `  type   ${plan.oldType ?? 'None'} becomes ${plan.newType}`;
  if (!plan.allowed) {
    const title = `Volume ${plan.volumeId} would not get type ${plan.newType}:`;
    return [title, ...plan.reasons.map((r) => `  - ${r.message}`)].join('\n');
  }
  if (plan.migration) return `${planText(plan.migration)}\n${change}`;
  return `Volume ${plan.volumeId} would stay where it is; nothing was done.\n${change}`;
}
