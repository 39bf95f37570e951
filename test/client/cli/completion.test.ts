import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { ferryIn } from './ferry-process.ts';

/** What is typed, and what the shell must and must not offer for its end. */
const samples: [typed: string, offered: RegExp, not: RegExp][] = [
  ['ferry mig', /^migrate\nmigration$/m, /host/],
  ['ferry migration w', /^watch$/m, /migrate/],
  ['ferry --json host d', /^decommission\ndisable$/m, /discover/],
  ['ferry --as list host re', /^remove\nrename$/m, /repair/],
  ['ferry migrate some-volume --ver', /^--verify$/m, /--version/],
  ['ferry host list --l', /^--long$/m, /--limit/],
  ['ferry completion --js', /^--json$/m, /bash/],
];

describe('shells complete commands and options', () => {
  let folder: string;
  const scriptOf = async (shell: string) => {
    const { code, stdout, stderr } = await ferryIn({}).run('completion', shell);
    assert.deepEqual([code, stderr], [0, '']);
    const file = join(folder, `ferry.${shell}`);
    await writeFile(file, stdout);
    return file;
  };
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'ferry-completion-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  /** The shell's command that prints what it offers for the words of `$TYPED`, one a line. */
  const asks: Record<string, [argv: string[], ask: string]> = {
    bash: [
      ['bash', '--norc', '-c'],
      'source "$SCRIPT"; read -ra COMP_WORDS <<< "$TYPED"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ferry; printf "%s\\n" "${COMPREPLY[@]}" | sort',
    ],
    fish: [['fish', '--no-config', '-c'], 'source $SCRIPT; complete -C "$TYPED" | cut -f1 | sort'],
  };
  for (const [shell, [argv, ask]] of Object.entries(asks))
    test(shell, async () => {
      const env = { SCRIPT: await scriptOf(shell), HOME: folder, LC_ALL: 'C' };
      for (const [typed, offered, not] of samples) {
        const { stdout } = await execa(argv[0]!, [...argv.slice(1), ask], { env: { ...env, TYPED: typed } });
        assert.match(stdout, offered, typed);
        assert.doesNotMatch(stdout, not, typed);
      }
    });

  test('zsh', async () => {
    const ask =
      'source "$SCRIPT"; print -r -- "${_comps[ferry]}"; COMP_WORDS=(ferry host re); COMP_CWORD=2; which _ferry > /dev/null && print known';
    const env = { SCRIPT: await scriptOf('zsh'), HOME: folder, LC_ALL: 'C' };
    const { stdout, stderr } = await execa('zsh', ['-f', '-c', ask], { env });
    assert.deepEqual([stderr, stdout.trim().split('\n')], ['', ['_bash_complete -F _ferry', 'known']]);
  });

  test('another shell is refused', async () => {
    const { code, stderr } = await ferryIn({}).run('completion', 'tcsh');
    assert.equal(code, 2);
    assert.match(stderr, /Allowed choices are bash, zsh, fish/);
  });
});
