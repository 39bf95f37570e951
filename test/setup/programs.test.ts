import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { before, test } from 'node:test';
import { execa } from 'execa';
import { findProgram } from '../../setup/find-program.mjs';
import { allNeeds } from '../../setup/needs.mjs';
import { ofEveryMachine } from '../systemd/base-system.ts';

const root = join(import.meta.dirname, '../..');

/** Where programs are named: what can come first in an array, a call or a line of a shell. */
const inCode = /[[(]\s*['"`]([a-z][a-z0-9_.+-]*)['"`]/g;
const inShell =
  /(?<=(?:^|[;&|({!]|\b(?:do|then|else|exec|if|while)\s)\s*)(?<![\w.-])([a-z][a-z0-9_.+-]*)(?=[\s;&|)]|$)/gm;
const example = /^```sh example\n(.*?)^```/gms;

/** Words of the code that happen to be names of programs, and are never run. */
const words = 'as convert file gold init link locale look migrate nova red script shutdown size watch write'.split(' ');
/** What a shell, or the busybox of a guest, does itself. */
const builtIn = ['kill', 'poweroff'];
/** By whom they are brought: npm's users have Node, and setup fetches Temporal's program; systemd's are used where it is. */
const broughtAlong = [
  'node',
  'npm',
  'npx',
  'temporal',
  'git',
  'go',
  'apt-get',
  'apt-cache',
  'sudo',
  'systemd-analyze',
  'systemd-notify',
];

/** The programs of this machine that the text names where a program can stand. */
function programsIn(text: string, patterns: readonly RegExp[]): string[] {
  const named = patterns.flatMap((pattern) => [...text.matchAll(pattern)].map(([, name]) => name ?? ''));
  const ignored = new Set([...words, ...builtIn, ...broughtAlong]);
  return [...new Set(named)].filter((name) => !ignored.has(name) && findProgram(name));
}

let packages: Map<string, string>;
let essential: Set<string>;
before(async () => {
  const { stdout: all } = await execa('dpkg-query', ['-W', '-f', '${Essential} ${Package}\n']);
  essential = new Set(all.split('\n').flatMap((line) => /^yes (.*)$/.exec(line)?.[1] ?? []));
  const { stdout } = await execa('dpkg-query', ['-S', '*/bin/*', '*/sbin/*'], { reject: false, maxBuffer: 2 ** 28 });
  packages = new Map(
    stdout.split('\n').flatMap((line) => {
      const [, name, path] = /^([^:, ]+)(?::\S+)?: \/(?:usr\/)?(s?bin\/[^/]+)$/.exec(line) ?? [];
      return name && path ? [[basename(path), name] as const] : [];
    }),
  );
});

/** Those that are neither asked for nor on every Debian. */
function unasked(programs: readonly string[], more: readonly string[] = []): string[] {
  const asked = new Set([...allNeeds().flatMap((need) => need.packages), ...more]);
  return programs.filter((program) => {
    const from = packages.get(program);
    return from !== undefined && !essential.has(from) && !asked.has(from);
  });
}

test('every program that is named in the code is asked for', async () => {
  const rooms = '{activities,bench,bin,client,configuration,demo,model,registry,setup,test,testbed,workers,workflows}';
  const missing: string[] = [];
  for (const file of globSync(`${rooms}/**/*.{ts,mjs,sh}`, { cwd: root })) {
    const text = await readFile(join(root, file), 'utf8');
    // What is run there runs on machines of their own.
    const more = file.startsWith('test/systemd/') ? ofEveryMachine : [];
    for (const each of unasked(programsIn(text, file.endsWith('.sh') ? [inShell] : [inCode]), more))
      missing.push(`${file}: ${each} of ${packages.get(each)}`);
  }
  assert.deepEqual(missing, []);
});

test('every program of an example that the tests run is asked for', async () => {
  for (const file of globSync('docs/*.md', { cwd: root })) {
    const examples = [...(await readFile(join(root, file), 'utf8')).matchAll(example)].map(([, code]) => code ?? '');
    assert.deepEqual(unasked(examples.flatMap((code) => programsIn(code, [inShell]))), [], file);
  }
});

test('one that is not asked for is found: in code, in a shell, in the middle of a line', () => {
  packages.set('nowhere', 'some-package');
  const name = 'mkfs.ext4';
  assert.deepEqual(programsIn(`await execa('${name}', ['-q', device]);`, [inCode]), [name]);
  assert.deepEqual(programsIn(`await nodes.exec('server1', ['${name}', device]);`, [inCode]), [name]);
  assert.deepEqual(programsIn(`if true; then ${name} /dev/x; fi\n`, [inShell]), ['true', name]);
  assert.deepEqual(programsIn(`for d in a b; do ${name} "$d"; done`, [inShell]), [name]);
  assert.deepEqual(unasked(['nowhere', name, 'insmod', 'curl', 'cat']), ['nowhere']);
});
