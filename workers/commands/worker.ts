import type { Command } from 'commander';

/**
 * `ferry worker control|storage|compute`: runs one worker until it is told to stop. What workers need is loaded only then: it takes longer
 * than most commands.
 */
export function addWorkerCommand(program: Command): void {
  const worker = program.command('worker').description('run one of the workers; stops cleanly on SIGTERM or Ctrl-C');
  worker
    .command('control')
    .description('run workflows and registry activities; any number may run, anywhere')
    .action(async () => (await import('../run-worker.ts')).runWorker('control'));
  worker
    .command('storage')
    .description("serve this storage node's back ends; one on each node, as a user who may open its devices")
    .action(async () => (await import('../run-worker.ts')).runWorker('storage'));
  worker
    .command('promote')
    .description('what begins from now on goes to the control workers that run this code (see "deployment")')
    .action(async (_options, command: Command) =>
      (await import('../promote-control.ts')).promoteControl(isJson(command)),
    );
  worker
    .command('versions')
    .description('the versions of the control workers: which is current, and which still have workflows to finish')
    .action(async (_options, command: Command) => (await import('../promote-control.ts')).listControl(isJson(command)));
  worker
    .command('compute')
    .description('attach and mirror the volumes of the guests of this libvirtd; one beside each')
    .action(async () => (await import('../run-worker.ts')).runWorker('compute'));
}

function isJson(command: Command): boolean {
  return command.optsWithGlobals<{ json?: boolean }>().json ?? false;
}
