import { Option, type Command } from 'commander';
import * as z from 'zod';
import type { RepairReport } from '../../model/repair.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { table } from './table.ts';
import { volumeOption } from './volume-argument.ts';

interface Options {
  dryRun?: true;
  volume?: string;
  orphanGrace?: number;
  device?: string;
}

/** `ferry repair`: ends what nobody carries on, and tells what belongs to nobody. */
export function addRepair(program: Command): void {
  program
    .command('repair')
    .description(
      'repair volumes whose migration or operation was terminated, and tell what is left on the nodes; runs by itself every minute',
    )
    .option('--dry-run', 'only tell what would be done')
    .addOption(volumeOption('only this volume'))
    .addOption(
      new Option(
        '--orphan-grace <seconds>',
        'remove what belongs to nobody so long after its migration ended',
      ).argParser(checked('orphan-grace', z.coerce.number().int().nonnegative())),
    )
    .option('--device <back end/device>', 'of --volume: this device holds it, whatever the others say')
    .action((options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const report = await ferry.repair({
          dryRun: options.dryRun,
          volumeId: options.volume,
          orphanGraceSeconds: options.orphanGrace,
          rollForward: true,
          ...(options.device === undefined ? {} : { device: chosenDevice(options.device) }),
        });
        answer(report, reportText(report));
      }),
    );
}

export function reportText(report: RepairReport): string {
  const { dryRun, migrations, operations, keptSources, orphans, volumes, unseen } = report;
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
  if (volumes.length > 0) {
    parts.push(
      table(
        ['Volume', 'Registry', 'Devices', 'Repair', 'Why'],
        volumes.map((v) => [
          v.volumeId,
          v.registry ? `${v.registry.backEnd} (generation ${v.registry.generation})` : 'not known',
          v.devices.map((d) => `${d.deviceName} on ${d.backEnd}: ${d.role}, generation ${d.generation}`).join('; ') ||
            'none',
          placeState(v, dryRun),
          v.note ?? v.why,
        ]),
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

/** What becomes, or became, of a volume of which the registry and the devices do not agree. */
function placeState({ direction, to, state }: RepairReport['volumes'][number], dryRun: boolean): string {
  if (state === 'repaired') return to ? `repaired: on ${to.backEnd}` : 'repaired';
  if (state === 'failed') return 'failed';
  if (direction === 'ask') return 'you decide: ferry repair --volume … --device <back end>/<device>';
  return dryRun ? `would be on ${to!.backEnd}` : 'not repaired';
}

function chosenDevice(text: string): { backEnd: string; deviceName: string } {
  const at = text.indexOf('/');
  return { backEnd: text.slice(0, at === -1 ? text.length : at), deviceName: at === -1 ? '' : text.slice(at + 1) };
}

function orphanState({ removed, removableFrom }: RepairReport['orphans'][number]): string {
  if (removed) return 'removed';
  return removableFrom === null ? 'kept' : `to be removed from ${removableFrom}`;
}
