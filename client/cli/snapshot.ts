import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { snapshotStatusOf, type Snapshot } from '../../model/snapshot.ts';
import { label } from '../../model/text.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable, table } from './table.ts';
import { volumeArgument, volumeOption } from './volume-argument.ts';
import { pythonTime, sizeProperty } from './volume-properties.ts';

interface Options {
  name?: string;
  description?: string;
  force?: true;
}

/** `ferry snapshot create`, `delete` and `list`. */
export function addSnapshot(program: Command): void {
  const snapshot = program
    .command('snapshot')
    .description("a volume's bytes at one moment; a volume with snapshots does not move");
  snapshot
    .command('create')
    .description('keep the bytes of a volume as they are now')
    .addArgument(volumeArgument())
    .option('--name <name>', 'what people call it', checked('name', label))
    .option('--description <text>', 'what it is for', checked('description', label))
    .option('--force', 'of an attached volume as well: what its guest has not flushed is not in it')
    .action((volumeId: string, options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const properties = snapshotProperties(await ferry.createSnapshot({ volumeId, ...options }));
        answer(properties, propertyTable(properties));
      }),
    );
  snapshot
    .command('delete')
    .description('delete a snapshot')
    .addArgument(
      new Argument('<snapshot>', "the snapshot's id").argParser(
        checked('snapshot', z.uuid('is not a snapshot id (expected a UUID)')),
      ),
    )
    .action((snapshotId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.deleteSnapshot(snapshotId);
        answer({ snapshotId, deleted: true }, `Snapshot ${snapshotId} is deleted.`);
      }),
    );
  snapshot
    .command('list')
    .description('list snapshots, newest first')
    .addOption(volumeOption('only those of this volume'))
    .action((options: { volume?: string }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const all = (await ferry.listSnapshots({ volumeId: options.volume })).map(snapshotProperties);
        const rows = all.map((s) => [s.id, s.volume_id, s.status, s.name ?? '', String(s.size)]);
        answer(all, table(['ID', 'Volume ID', 'Status', 'Name', 'Size'], rows));
      }),
    );
}

function snapshotProperties(s: Snapshot) {
  return {
    created_at: pythonTime(s.createdAt),
    description: s.description,
    id: s.id,
    name: s.name,
    size: sizeProperty(s.sizeBytes),
    status: snapshotStatusOf(s),
    volume_id: s.volumeId,
  };
}
