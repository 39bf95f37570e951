import { Argument, type Command, type Option } from 'commander';
import { shellScript, shells, type CommandWords, type Shell } from './shell-completion.ts';

/** `ferry completion bash`: for the shell's start-up file. Needs no configuration. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print what makes a shell complete commands and options')
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .addHelpText(
      'after',
      `
bash:  ferry completion bash > /etc/bash_completion.d/ferry
zsh:   ferry completion zsh > ~/.ferry-completion, and in ~/.zshrc: source ~/.ferry-completion
fish:  ferry completion fish > ~/.config/fish/completions/ferry.fish`,
    )
    .action((shell: Shell) => void process.stdout.write(shellScript(shell, commandWords(program))));
}

/** Every command of the program, the program itself first. */
function commandWords(
  command: Command,
  path: readonly string[] = [],
  inherited: readonly Option[] = [],
): CommandWords[] {
  const options = [...command.options, ...inherited].filter((option) => !option.hidden);
  const subcommands = command.commands.filter((sub) => !sub.name().startsWith('_'));
  return [
    {
      path: path.join(' '),
      words: [
        ...subcommands.map((sub) => ({ word: sub.name(), description: sub.description() })),
        ...options.map(({ long, short, description }) => ({ word: long ?? short ?? '', description })),
        { word: '--help', description: 'display help' },
      ],
      withValue: options.filter(({ required, optional }) => required || optional).flatMap(flagsOf),
    },
    ...subcommands.flatMap((sub) => commandWords(sub, [...path, sub.name()], options.filter(isForAll))),
  ];
}

/** The version is told by the program alone. */
const isForAll = ({ long }: Option) => long !== '--version';

function flagsOf({ long, short }: Option): string[] {
  return [long, short].filter((flag) => flag !== undefined);
}
