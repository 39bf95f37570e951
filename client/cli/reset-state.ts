import { Option, type Command } from 'commander';
import { resettableStatus, type Reset } from '../../registry/reset-state.ts';
import { answerVolume } from './answer-volume.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';
import { volumeArgument } from './volume-argument.ts';

interface Options {
  state: Reset['status'];
  detached?: true;
  evenIfSilent?: true;
  abandon?: string;
}

/** `ferry reset-state`: the administrator's last resort. */
export function addResetState(program: Command): void {
  program
    .command('reset-state')
    .description(
      "set a volume's status by hand, without a look at its device; never frees one that a migration holds, nor one that somebody has",
    )
    .addArgument(volumeArgument())
    .addOption(
      new Option('--state <status>', 'the new status')
        .argParser(checked('state', resettableStatus))
        .default('available'),
    )
    .option(
      '--detached',
      'forget its attachments, once its hypervisors and its storage node say that nobody has it, and end their exports; for a hypervisor that is gone, see ferry hypervisor gone',
    )
    .option('--even-if-silent', 'with --detached: also if not all of them answer, because you know that nobody has it')
    .option('--abandon <owner>', 'the owner of an operation that is known to be dead, as the refusal names it')
    .action((volumeId: string, { state, ...options }: Options, command: Command) =>
      withFerry(command, async (session) =>
        answerVolume(session, await session.ferry.resetState({ volumeId, status: state, ...options })),
      ),
    );
}
