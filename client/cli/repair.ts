import { Option, type Command } from 'commander';
import * as z from 'zod';
import { volumeId } from '../../model/ids.ts';
import type { RepairReport } from '../../model/repair.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';

interface Options {
  dryRun?: true;
  volume?: string;
  orphanGrace?: number;
}

/** `ferry repair`: ends what nobody carries on, and tells what belongs to nobody. */
export function addRepair(program: Command): void {
  program
    .command('repair')
    .description(
      'repair volumes whose migration or operation was terminated, and tell what is left on the nodes; runs by itself every minute',
    )
    .option('--dry-run', 'only tell what would be done')
    .addOption(new Option('--volume <volume>', 'only this volume').argParser(checked('volume', volumeId)))
    .addOption(
      new Option(
        '--orphan-grace <seconds>',
        'remove what belongs to nobody so long after its migration ended',
      ).argParser(checked('orphan-grace', z.coerce.number().int().nonnegative())),
    )
    .action((options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const report = await ferry.repair({
          dryRun: options.dryRun,
          volumeId: options.volume,
          orphanGraceSeconds: options.orphanGrace,
        });
        answer(report, reportText(report));
      }),
    );
}

export function reportText(report: RepairReport): string {
  const { dryRun, migrations, operations, keptSources, orphans, unseen } = report;
  const state = (s: string) => (dryRun && s === 'none' ? 'would be repaired' : s);
  const parts: string[] = [];
  if (migrations.length + operations.length + keptSources.length > 0) {
    parts.push(
      table(
        ['Volume', 'Was', 'Goes', 'State', 'Remark'],
        [
          ...migrations.map((m) => [
            m.volumeId,
            `migrating (${m.phase})`,
            m.direction,
            m.direction === 'parked' ? 'none' : state(m.state),
            m.note ?? '',
          ]),
          ...operations.map((o) => [o.volumeId, o.operation, 'back', state(o.state), o.note ?? '']),
          ...keptSources.map((k) => [k.volumeId, `kept on ${k.backEnd}`, 'on', state(k.state), k.note ?? '']),
        ],
      ),
    );
  }
  if (orphans.length > 0) {
    parts.push(
      table(
        ['Belongs to nobody', 'Host', 'Why', 'State'],
        orphans.map((o) => [`${o.kind} ${o.name}`, o.backEnd, o.why, orphanState(o)]),
      ),
    );
  }
  for (const { node, why } of unseen) parts.push(`Not looked at: ${node}: ${why}`);
  return parts.join('\n') || 'Nothing to repair.';
}

function orphanState({ removed, removableFrom }: RepairReport['orphans'][number]): string {
  if (removed) return 'removed';
  return removableFrom === null ? 'kept' : `to be removed from ${removableFrom}`;
}
