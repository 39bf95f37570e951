import { Option, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import { outcome, type MigrationRecord, type Outcome } from '../../model/migration.ts';
import { formatBytes } from '../../model/sizes.ts';
import { checked } from './arguments.ts';
import { duration } from './follow-migration.ts';
import { addListOptions, listing, terminalWidth, type Column, type ListOptions } from './listing.ts';
import { withFerry } from './session.ts';
import { volumeOption } from './volume-argument.ts';
import { utc } from './volume-properties.ts';

interface Options extends ListOptions {
  running?: true;
  kept?: true;
  volume?: string;
  host?: string;
  outcome?: Outcome;
}

/** `ferry migration list`: the audit records, running ones first among them. */
export function addMigrationList(migration: Command): void {
  const list = migration.command('list').description('list migrations, the last begun first, also the finished ones');
  addListOptions(list, 50)
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
        const names = await ferry.volumeNames(records.map(({ volumeId }) => volumeId));
        const named = records.map((record) => ({ ...record, volumeName: names.get(record.volumeId) ?? null }));
        answer(named, migrationTable(named, new Date(), { columns: o.columns, width: terminalWidth() }));
      }),
    );
}

/** A migration, and what its volume is called; null: nothing, or it is deleted. */
type NamedMigration = MigrationRecord & { volumeName: string | null };

export function migrationTable(
  records: readonly NamedMigration[],
  now: Date,
  shape: Parameters<typeof listing>[2],
): string {
  const columns: readonly Column<NamedMigration>[] = [
    { title: 'Volume', text: (r) => r.volumeId, isId: true },
    { title: 'Name', text: (r) => r.volumeName ?? '', spare: 2 },
    { title: 'From', text: (r) => r.source },
    { title: 'To', text: (r) => r.destination },
    { title: 'State', text: (r) => r.outcome ?? r.phase },
    { title: 'Size', text: (r) => formatBytes(r.totalBytes), spare: 3 },
    { title: 'Started', text: (r) => utc(r.startedAt), spare: 1 },
    {
      title: 'Took',
      text: (r) => duration(((r.finishedAt ?? now).getTime() - r.startedAt.getTime()) / 1000),
      spare: 4,
    },
    { title: 'By', text: (r) => r.requestedBy, spare: 6 },
    { title: 'Source kept until', text: (r) => (r.keptUntil ? utc(r.keptUntil) : ''), spare: 5 },
  ];
  return listing(columns, records, shape);
}
