import type { Command } from 'commander';
import { backEndState, type BackEnd } from '../../model/back-end.ts';
import { capabilitiesText } from '../../model/volume-type.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { ListedBackEnd } from '../back-ends.ts';
import { withFerry } from './session.ts';
import { columns, table } from './table.ts';

/** `ferry host list`: the seed's list, one `node@name  zone` a line. */
export function addHostList(host: Command): void {
  host
    .command('list')
    .description('list the back ends and their zones')
    .option('--long', 'with driver, state, space, capabilities and why one cannot be used')
    .action((options: { long?: boolean }, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const backEnds = await ferry.listBackEnds();
        const described = backEnds.map((b) => ({ ...b, state: backEndState(b, b.asOf) }));
        if (!options.long) return answer(described, hostList(backEnds));
        answer(described, [longList(backEnds), ...(await ferry.durabilityRisks()).map(riskText)].join('\n'));
      }),
    );
}

export function hostList(backEnds: readonly Pick<BackEnd, 'name' | 'availabilityZone'>[]): string {
  return columns(backEnds.map((b) => [b.name, b.availabilityZone]));
}

/** A line below the long list. */
function riskText(risk: string): string {
  return `Warning: commits of the registry can be lost: ${risk}. See "Postgres" in docs/operations.md.`;
}

export function longList(backEnds: readonly ListedBackEnd[]): string {
  return table(
    ['Host', 'Zone', 'Driver', 'Status', 'State', 'Volumes', 'Kept', 'Free', 'Total', 'Capabilities', 'Remark'],
    backEnds.map((b) => [
      b.name,
      b.availabilityZone,
      b.driver,
      b.decommissionedAt ? 'decommissioned' : b.disabled ? 'disabled' : 'enabled',
      backEndState(b, b.asOf),
      String(b.volumes),
      b.kept.sources === 0 ? '' : `${b.kept.sources} (${formatBytes(b.kept.bytes)})`,
      formatBytes(b.freeBytes),
      formatBytes(b.totalBytes),
      capabilitiesText(b.capabilities),
      [b.decommissionedAt ? null : b.disabledReason, b.fault, placementNote(b), lostNote(b), repairNote(b)]
        .filter((text) => text !== null)
        .join('; '),
    ]),
  );
}

/** Nothing is cleaned up there, and the volumes in question do not move, until somebody has repaired it. */
function repairNote({ discrepancies }: ListedBackEnd): string | null {
  if (discrepancies === 0) return null;
  return `needs repair: ${discrepancies} of its devices do not fit the registry; see: ferry repair --dry-run`;
}

function placementNote({ placementFault }: ListedBackEnd): string | null {
  return placementFault === null ? null : `nothing is placed here, what is here may leave: ${placementFault}`;
}

function lostNote({ lostDevices }: ListedBackEnd): string | null {
  return lostDevices.length === 0 ? null : `on a lost disk: ${lostDevices.join(', ')}`;
}
