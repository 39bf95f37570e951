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
    .command('compute')
    .description('attach and mirror the volumes of the guests of this libvirtd; one beside each')
    .action(async () => (await import('../run-worker.ts')).runWorker('compute'));
}
