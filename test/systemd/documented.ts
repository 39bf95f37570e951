import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../setup/report.mjs';

/** Where an operator reads what to do on machines with the Debian packages. */
const pages = {
  'docs/installing.md': ['Debian packages', 'Upgrade, and back', 'Remove'],
  'docs/operations.md': ['Postgres'],
};

const texts = Object.entries(pages).map(async ([page, chapters]) => {
  const all = (await readFile(join(root, page), 'utf8')).split(/^## /m);
  return all.filter((chapter) => chapters.includes(chapter.slice(0, chapter.indexOf('\n'))));
});
const commands = (await Promise.all(texts))
  .flat()
  .flatMap((chapter) => [...chapter.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block))
  .flatMap((block) => block.split('\n'))
  .map((line) => line.replace(/\s+# .*$/, '').trim())
  .filter((line) => line !== '' && !line.startsWith('#'));
const unused = new Set(commands);

/** A command of these pages, for a machine to run. Throws when it is not there: then either that or the lane is out of date. */
export function documented(command: string): readonly string[] {
  if (!commands.includes(command)) throw new Error(`${Object.keys(pages).join(' and ')} do not say: ${command}`);
  unused.delete(command);
  return ['bash', '-c', command];
}

/** Commands that are written there and that nobody has run. */
export function neverRun(): readonly string[] {
  return [...unused];
}
