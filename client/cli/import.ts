import { Option, type Command } from 'commander';
import { FerryError } from '../../model/errors.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { ImportPlan, PlannedVolume } from '../cinder-import/plan-import.ts';
import { pairs } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';

interface Options {
  database: string;
  backEnd: Record<string, string>;
  dryRun?: true;
}

/** `ferry import`: takes volumes over from what had them before. */
export function addImport(program: Command): void {
  program
    .command('import')
    .description('take volumes over from what had them before')
    .command('cinder')
    .description(
      "take over a Cinder's LVM volumes where they are, with their ids, types, metadata and snapshots; writes no byte of them and nothing to Cinder's database",
    )
    .addOption(
      new Option(
        '--database <url>',
        "Cinder's database, as in its [database] connection; better in the environment: it holds a password",
      )
        .env('FERRY_CINDER_DATABASE')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--back-end <host=back end>',
        "a host of Cinder's (node@backend) and the back end on the same storage; once or more",
      )
        .argParser(eachHostOnce)
        .makeOptionMandatory(),
    )
    .option('--dry-run', 'only tell what would become of each volume')
    .action(({ database, backEnd, dryRun }: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const request = { databaseUrl: database, backEnds: backEnd };
        const plan = dryRun ? await ferry.planCinderImport(request) : await ferry.importCinder(request);
        answer(plan, importText(plan));
        if (!dryRun && left(plan) > 0) process.exitCode = exitCodes.refusedOrFailed;
      }),
    );
}

const hostAndBackEnd = pairs('back-end');

function eachHostOnce(text: string, before: Record<string, string> | undefined): Record<string, string> {
  const both = hostAndBackEnd(text, before);
  if (before && Object.keys(both).length === Object.keys(before).length)
    throw new FerryError('InvalidInput', `back-end: ${JSON.stringify(text)} names a host that was named before`, {
      fields: ['back-end'],
    });
  return both;
}

function left({ volumes }: ImportPlan): number {
  return volumes.flatMap((each) => [each, ...each.snapshots]).filter(({ state }) => state !== 'imported').length;
}

export function importText(plan: ImportPlan): string {
  const rows = plan.volumes.flatMap((volume) => [
    [volume.id, volume.name ?? '', volume.tenantId, formatBytes(volume.sizeBytes), volume.backEnd, stateText(volume)],
    ...volume.snapshots.map((each) => [`  ${each.id}`, each.name ?? '', '', '', 'a snapshot of it', stateText(each)]),
  ]);
  const parts = rows.length > 0 ? [table(['Volume', 'Name', 'Project', 'Size', 'Back end', 'State'], rows)] : [];
  for (const { id, notes, snapshots } of plan.volumes) {
    for (const note of notes) parts.push(`Volume ${id}: ${note}.`);
    for (const each of snapshots) for (const note of each.notes) parts.push(`Snapshot ${each.id}: ${note}.`);
  }
  for (const { name, notes, isThere } of plan.types) {
    const told = [...(isThere ? [] : ['comes along']), ...notes];
    if (told.length > 0) parts.push(`Volume type ${name}: ${told.join('; ')}.`);
  }
  if (plan.elsewhere.length > 0) {
    const hosts = plan.elsewhere.map(({ host, volumes }) => `${host}: ${volumes}`);
    parts.push(`Left alone, on hosts that were not named: ${hosts.join(', ')}.`);
  }
  if (plan.livingHosts.length > 0)
    parts.push(`Stop cinder-volume of ${plan.livingHosts.join(', ')} first: nothing is imported while it lives.`);
  const counts = Map.groupBy(plan.volumes, ({ state }) => state);
  const told = [...counts].map(([state, { length }]) => `${length} ${state}`);
  parts.push(`${plan.volumes.length} volumes${told.length > 0 ? `: ${told.join(', ')}` : ''}.`);
  if (plan.stopped !== null) parts.push(`Stopped: ${plan.stopped} Run it again: it does the rest.`);
  return parts.join('\n');
}

function stateText({ state, reason }: Pick<PlannedVolume, 'state' | 'reason'>): string {
  return reason === null ? state : `${state}: ${reason}`;
}
