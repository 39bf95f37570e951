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

/** `ferry snapshot create`, `delete`, `revert`, `manage`, `unmanage` and `list`. */
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
    .command('revert')
    .description('put the bytes of the last snapshot of a volume back into it; what was written since is gone')
    .addArgument(
      new Argument('<snapshot>', "the snapshot's id").argParser(
        checked('snapshot', z.uuid('is not a snapshot id (expected a UUID)')),
      ),
    )
    .action((snapshotId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const { volumeId } = await ferry.revertToSnapshot(snapshotId);
        answer({ snapshotId, volumeId, reverted: true }, `Volume ${volumeId} holds what snapshot ${snapshotId} holds.`);
      }),
    );
  snapshot
    .command('manage')
    .description(
      'make a device that is there already a snapshot of a volume; it is on the back end of that, and as large',
    )
    .addArgument(volumeArgument())
    .addArgument(new Argument('<device>', 'its name as it is now').argParser(checked('device', label.min(1))))
    .option('--name <name>', 'what people call it', checked('name', label))
    .option('--description <text>', 'what it is for', checked('description', label))
    .action((volumeId: string, deviceName: string, options: Omit<Options, 'force'>, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const properties = snapshotProperties(await ferry.manageSnapshot({ volumeId, deviceName, ...options }));
        answer(properties, propertyTable(properties));
      }),
    );
  snapshot
    .command('unmanage')
    .description('forget a snapshot, leave its device')
    .addArgument(
      new Argument('<snapshot>', "the snapshot's id").argParser(
        checked('snapshot', z.uuid('is not a snapshot id (expected a UUID)')),
      ),
    )
    .action((snapshotId: string, _options: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const deviceName = await ferry.unmanageSnapshot(snapshotId);
        answer({ snapshotId, deviceName }, `Snapshot ${snapshotId} is forgotten; its device is ${deviceName}.`);
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
