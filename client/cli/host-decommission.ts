import { Argument, type Command } from 'commander';
import { nodeName } from '../../model/ids.ts';
import { checked } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import { addEvacuationOptions, evacuationOf, type EvacuateOptions } from './host-evacuate.ts';
import { withFerry } from './session.ts';

/** `ferry host decommission`: empties a node for good, and proves it. */
export function addHostDecommission(host: Command): void {
  const decommission = host
    .command('decommission')
    .description(
      'evacuate a node, prove that nothing is left on it, and mark it; asked again, it joins the running one',
    )
    .addArgument(new Argument('<node>', 'the node').argParser(checked('node', nodeName)));
  addEvacuationOptions(decommission).action((node: string, o: EvacuateOptions, command: Command) =>
    withFerry(command, async ({ ferry, answer, json }) => {
      if (!json) process.stderr.write(`${node} is being evacuated. Watch it: ferry evacuation watch ${node}\n`);
      const report = await ferry.decommissionNode(evacuationOf(node, o));
      if (report.decommissioned) {
        answer(
          report,
          [
            `${node} is decommissioned: nothing is left on it, in the registry and on its devices.`,
            'Now stop its worker there:',
            '  systemctl disable --now ferry-storage',
            'or end the process `ferry worker storage`. Its exports have ended. To use it again: ferry host enable ' +
              node,
          ].join('\n'),
        );
        return;
      }
      answer(
        report,
        [`${node} is not decommissioned; it stays disabled.`, ...report.left.map((each) => `  - ${each}`)].join('\n'),
      );
      process.exitCode = exitCodes.refusedOrFailed;
    }),
  );
}
