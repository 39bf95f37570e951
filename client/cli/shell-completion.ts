export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** What may follow one command. */
export interface CommandWords {
  /** The command's name after `ferry`, e.g. `host list`; empty for the program itself. */
  path: string;
  words: readonly { word: string; description: string }[];
  /** Options that take a value: the word after one is no command. */
  withValue: readonly string[];
}

/** The script that a shell reads at its start. It runs nothing: it knows the commands of the Ferry that printed it. */
export function shellScript(shell: Shell, commands: readonly CommandWords[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(commands);
    case 'zsh':
      return `autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`;
    case 'fish':
      return fishScript(commands);
  }
}

const single = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function bashScript(commands: readonly CommandWords[]): string {
  const cases = commands.map(
    ({ path, words }) => `    ${single(path)}) words=${single(words.map((w) => w.word).join(' '))} ;;`,
  );
  return `# What may follow "ferry", by what stands before the cursor.
_ferry() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' words='' word i skip=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n "$skip" ]]; then skip=''; continue; fi
    case "$word" in
    ${withValue(commands).join('|')}) skip=1; continue ;;
    -*) continue ;;
    esac
    case "\${path:+$path }$word" in
    ${commands
      .slice(1)
      .map(({ path }) => single(path))
      .join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  [[ -n "$skip" ]] && return
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _ferry ferry
`;
}

function withValue(commands: readonly CommandWords[]): string[] {
  return [...new Set(commands.flatMap((command) => command.withValue))].toSorted();
}

const fishText = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;

function fishScript(commands: readonly CommandWords[]): string {
  const paths = commands.slice(1).map(({ path }) => fishText(path));
  const lines = commands.flatMap(({ path, words }) =>
    words.map(
      ({ word, description }) =>
        `complete -c ferry -n '__ferry_at ${path === '' ? '""' : `"${path}"`}' -a ${fishText(word)} -d ${fishText(description)}`,
    ),
  );
  return `# The command that stands before the cursor.
function __ferry_path
  set -l path
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${withValue(commands).map(fishText).join(' ')}
        set skip 1
        continue
      case '-*'
        continue
    end
    set -l longer (string join ' ' $path $word)
    if contains -- $longer ${paths.join(' ')}
      set path $longer
    end
  end
  echo "$path"
end
function __ferry_at
  test (__ferry_path) = "$argv[1]"
end
# No command takes a file.
complete -c ferry -f
${lines.join('\n')}
`;
}
