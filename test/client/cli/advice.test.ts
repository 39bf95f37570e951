import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Command } from 'commander';
import { addClientCommands } from '../../../client/cli/program.ts';
import { addDbCommand } from '../../../workers/commands/db.ts';
import { addDevCommand } from '../../../workers/commands/dev.ts';
import { addWorkerCommand } from '../../../workers/commands/worker.ts';

const root = new URL('../../../', import.meta.url).pathname;
const program = new Command('ferry').option('--version');
for (const add of [addClientCommands, addDbCommand, addWorkerCommand]) add(program);
addDevCommand(program, async () => assert.fail('nothing is started'));

/** What stands behind the word `ferry` where it is written as a command. `npm run ferry -- …` is one, too. */
const advised = /(?<![\w./-])ferry (?:-- )?([a-z](?:[^`'"();|#.]|\.(?! |$))*)/g;

/** Names of other things: the database role and the account of that name. */
const notCommands = new Set(['service']);

/** Why these words are no command with such options; null: they are. */
function reasonUnknown(words: readonly string[]): string | null {
  let command = program;
  const flags = new Set(['--help']);
  for (const word of words) {
    for (const { long } of command.options) flags.add(long ?? '');
    const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next) command = next;
    else if (word.startsWith('--') && !flags.has(word.split('=')[0]!)) return `${command.name()} has no ${word}`;
    // Else `…`, or what stands for an argument.
    else if (command.commands.length > 0 && /^[a-z-]+$/.test(word)) return `${command.name()} has no ${word}`;
  }
  return null;
}

test('each command that a message or a page advises is there, with its options', () => {
  const sources = '{activities,bin,client,model,registry,workers,workflows}/**/*.ts';
  const wrong: string[] = [];
  let count = 0;
  for (const file of globSync(`{README.md,SECURITY.md,docs/*.md,${sources}}`, { cwd: root }))
    for (const [index, line] of readFileSync(root + file, 'utf8')
      .split('\n')
      .entries())
      for (const [whole, text] of line.matchAll(advised)) {
        const words = text!.split(/[\s[\],:]+/).filter(Boolean);
        if (notCommands.has(words[0]!)) continue;
        count += 1;
        const why = reasonUnknown(words);
        if (why !== null) wrong.push(`${file}:${index + 1}: ${whole}: ${why}`);
      }
  assert.deepEqual(wrong, []);
  assert.ok(count > 300, `only ${count} were looked at`);
});
