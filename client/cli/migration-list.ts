import { Option, type Command } from 'commander';
import * as z from 'zod';
import { backEndName } from '../../model/ids.ts';
import { outcome, type MigrationRecord, type Outcome } from '../../model/migration.ts';
import { formatBytes } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { duration } from './follow-migration.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';
import { volumeOption } from './volume-argument.ts';
import { pythonTime } from './volume-properties.ts';

interface Options {
  running?: true;
  kept?: true;
  volume?: string;
  host?: string;
  outcome?: Outcome;
  limit: number;
}

/** `ferry migration list`: the audit records, running ones first among them. */
export function addMigrationList(migration: Command): void {
  migration
    .command('list')
    .description('list migrations, the last begun first, also the finished ones')
    .option('--running', 'only those that run')
    .option('--kept', 'only those whose source is kept')
    .addOption(volumeOption("only this volume's"))
    .addOption(
      new Option('--host <host>', 'only those from or to this back end').argParser(checked('host', backEndName)),
    )
    .addOption(
      new Option('--outcome <outcome>', 'only those that ended so: success, error, cancelled').argParser(
        checked('outcome', outcome),
      ),
    )
    .addOption(
      new Option('--limit <number>', 'at most so many')
        .argParser(checked('limit', z.coerce.number().int().min(1).max(100_000)))
        .default(50),
    )
    .action((o: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const records = await ferry.listMigrations({
          running: o.running,
          kept: o.kept,
          volumeId: o.volume,
          backEnd: o.host,
          outcome: o.outcome,
          limit: o.limit,
        });
        answer(records, migrationTable(records, new Date()));
      }),
    );
}

export function migrationTable(records: readonly MigrationRecord[], now: Date): string {
  return table(
    ['Volume', 'From', 'To', 'State', 'Size', 'Started', 'Took', 'By', 'Source kept until'],
    records.map((r) => [
      r.volumeId,
      r.source,
      r.destination,
      r.outcome ?? r.phase,
      formatBytes(r.totalBytes),
      pythonTime(r.startedAt).slice(0, 19),
      duration(((r.finishedAt ?? now).getTime() - r.startedAt.getTime()) / 1000),
      r.requestedBy,
      r.keptUntil ? pythonTime(r.keptUntil).slice(0, 19) : '',
    ]),
  );
}
