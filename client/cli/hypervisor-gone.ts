import { Argument, type Command } from 'commander';
import { nodeName } from '../../model/ids.ts';
import type { GoneHypervisor } from '../hypervisors.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { withFerry } from './session.ts';

interface Options {
  confirm?: string;
  evenIfConnected?: true;
}

/** `ferry hypervisor gone`: its guests will not come back, and their volumes are needed. */
export function addHypervisorGone(hypervisor: Command): void {
  hypervisor
    .command('gone')
    .description(
      'declare that a hypervisor is gone for good: its attachments and their exports end, its volumes are free',
    )
    .addArgument(new Argument('<node>', 'the hypervisor').argParser(checked('node', nodeName)))
    .option('--confirm <node>', 'its name once more; without it, only what would end is told')
    .option('--even-if-connected', 'end exports to which somebody is connected, too')
    .action((node: string, options: Options, command: Command) =>
      withFerry(command, async ({ ferry, answer }) => {
        const told = await ferry.declareHypervisorGone({ hypervisor: node, ...options });
        answer(told, goneText(told));
        if (told.left.length > 0) process.exitCode = exitCodes.refusedOrFailed;
      }),
    );
}

function goneText({ hypervisor, freed, left }: GoneHypervisor): string {
  const lines = [`${hypervisor} is declared gone; ${freed.length} volumes are free of it.`];
  if (left.length === 0) return lines[0]!;
  lines.push(`${left.length} attachments are left:`);
  for (const { volumeId, reason } of left) lines.push(`  - volume ${volumeId}: ${reason.message}`);
  lines.push('Try again when that is over. Clients that are dead, or shall be cut off: --even-if-connected');
  return lines.join('\n');
}
