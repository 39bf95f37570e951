import { createInterface } from 'node:readline';
import { Argument, type Command } from 'commander';
import { label } from '../../model/text.ts';
import type { VisibleTransfer } from '../transfers.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { propertyTable, table } from './table.ts';
import { volumeArgument } from './volume-argument.ts';
import { pythonTime } from './volume-properties.ts';

/** `ferry transfer`: volumes change hands. */
export function addTransfer(program: Command): void {
  const transfer = program.command('transfer').description('give volumes to other tenants, and take theirs');
  transfer
    .command('create')
    .description('offer an available volume to whoever knows the key, which is shown this once')
    .addArgument(volumeArgument())
    .option('--name <name>', 'what the offer is called', checked('name', label))
    .option('--no-snapshots', "keep the volume's snapshots")
    .action((volumeId: string, o: { name?: string; snapshots: boolean }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const made = await ferry.createTransfer({ volumeId, name: o.name ?? null, noSnapshots: !o.snapshots });
        const shown = { ...properties(made.transfer), auth_key: made.authKey };
        answer(shown, propertyTable(shown));
      }),
    );
  transfer
    .command('list')
    .description('the offers that still stand')
    .action((_: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const all = (await ferry.listTransfers()).map(properties);
        answer(
          all,
          table(
            ['ID', 'Volume ID', 'Name'],
            all.map((t) => [t.id, t.volume_id, t.name ?? '']),
          ),
        );
      }),
    );
  transfer
    .command('show')
    .description('an offer')
    .addArgument(transferArgument())
    .action((id: string, _: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const shown = properties(await ferry.findTransfer(id));
        answer(shown, propertyTable(shown));
      }),
    );
  transfer
    .command('accept')
    .description('take a volume over; the key, as the giver was told it, is read from the first line of the input')
    .addArgument(transferArgument())
    .action((id: string, _: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const authKey = await keyFromInput();
        const shown = properties(await ferry.acceptTransfer(id, authKey));
        answer(shown, propertyTable(shown));
      }),
    );
  transfer
    .command('delete')
    .description('withdraw an offer; the volume is available again')
    .addArgument(transferArgument())
    .action((id: string, _: object, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        await ferry.deleteTransfer(id);
        answer({ id, deleted: true }, `Transfer ${id} is withdrawn.`);
      }),
    );
}

/** Not an argument: those are seen by everybody on the machine. */
async function keyFromInput(): Promise<string> {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) return line.trim();
  return '';
}

function transferArgument(): Argument {
  return new Argument('<transfer>', 'the id of the offer');
}

function properties(t: VisibleTransfer) {
  return {
    id: t.id,
    name: t.name,
    volume_id: t.volumeId,
    source_project_id: t.tenantId,
    no_snapshots: t.noSnapshots,
    created_at: pythonTime(t.createdAt),
  };
}
