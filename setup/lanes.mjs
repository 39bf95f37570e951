import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { root, WrongUsage } from './report.mjs';

/**
 * Tests of a kind, by what they need of the machine: nothing; Postgres; storage nodes and all of Ferry; a hypervisor with guests.
 * @typedef {'unit' | 'registry' | 'nodes' | 'attached'} Lane
 */

/** @type {readonly Lane[]} */
export const lanes = ['unit', 'registry', 'nodes', 'attached'];

/**
 * Where what a test imports does not tell: it starts it as a program.
 * @type {Readonly<Record<string, Lane>>}
 */
const byHand = { 'test/demo': 'attached', 'test/testbed/libvirt': 'attached' };

/**
 * The lane of a test file, relative to the checkout: it follows from what the file imports, and what that imports.
 * @param {string} file
 * @returns {Lane}
 */
export function laneOf(file) {
  const said = Object.entries(byHand).find(([folder]) => file.startsWith(`${folder}/`));
  if (said) return said[1];
  const all = importsOf(file);
  const has = (/** @type {string} */ start) => [...all].some((each) => each.startsWith(start));
  if (has('testbed/libvirt/')) return 'attached';
  if (has('testbed/') && has('testbed/nodes.ts')) return 'nodes';
  if (has('workers/embedded/temporal.ts')) return 'nodes';
  if (has('workers/embedded/postgres.ts')) return 'registry';
  return all.has('execa') || all.has('node:child_process') ? 'nodes' : 'unit';
}

/**
 * Whether a test file, relative to the checkout, starts storage nodes that are guests with a kernel and an LVM of their own. They take
 * most of the cpu: many such files beside each other only slow each other down.
 * @param {string} file
 * @returns {boolean}
 */
export function startsGuests(file) {
  if (file.startsWith('test/demo/')) return true;
  return /\bNodeStage\b|\/(?:lvm-node|testbed\/nodes)\.ts'/.test(readFileSync(join(root, file), 'utf8'));
}

/**
 * Those that take minutes, the longest first.
 * @type {readonly string[]}
 */
export const longest = [
  'test/faults/attached.test.ts',
  'test/end-to-end/destination-faults.test.ts',
  'test/end-to-end/attached.test.ts',
  'test/end-to-end/forgotten-ends.test.ts',
  'test/end-to-end/attached-mid-mirror.test.ts',
  'test/workflows/attach-detach.test.ts',
  'test/client/cli/commands.test.ts',
  'test/end-to-end/thin.test.ts',
  'test/faults/matrix.test.ts',
  'test/workflows/attached.test.ts',
  'test/demo/demo.test.ts',
  'test/end-to-end/zombies.test.ts',
  'test/end-to-end/lost-destination.test.ts',
  'test/end-to-end/repair.test.ts',
  'test/end-to-end/gone-hypervisor.test.ts',
  'test/end-to-end/source-faults.test.ts',
  'test/end-to-end/registry-behind.test.ts',
  'test/end-to-end/operations.test.ts',
  'test/end-to-end/assisted.test.ts',
  'test/workflows/many-volumes.test.ts',
];

/**
 * The test files in what was named on the command line; all when nothing was. Relative to the checkout, sorted.
 * @param {readonly string[]} named
 * @returns {string[]}
 * @throws {WrongUsage} when something is not there or has no test
 */
export function testFiles(named) {
  const files = (named.length ? named : ['test']).flatMap((name) => {
    const path = resolve(root, name);
    if (!existsSync(path))
      throw new WrongUsage(`There is no ${name} in ${root}. Tests are in test/: npm test -- ${example()}`);
    if (!statSync(path).isDirectory()) {
      if (path.endsWith('.test.ts')) return relative(root, path);
      throw new WrongUsage(`${name} is not a test; those end in .test.ts: npm test -- ${example()}`);
    }
    const found = readdirSync(path, { recursive: true }).map(String);
    const tests = found.filter((each) => each.endsWith('.test.ts')).map((each) => relative(root, join(path, each)));
    if (!tests.length)
      throw new WrongUsage(`There is no test in ${name}; those end in .test.ts: npm test -- ${example()}`);
    return tests;
  });
  return [...new Set(files)].toSorted();
}

function example() {
  const folders = readdirSync(join(root, 'test'), { withFileTypes: true }).filter((each) => each.isDirectory());
  return folders.map(({ name }) => `test/${name}`).join(' | ');
}

/**
 * What a file imports, itself included: files relative to the checkout, packages by name. What is imported for its types only counts for
 * nothing.
 * @param {string} file
 * @returns {Set<string>}
 */
function importsOf(file) {
  /** @type {Set<string>} */
  const seen = new Set();
  const waiting = [file];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const path = join(root, next);
    if (!/\.m?[jt]s$/.test(next) || !existsSync(path)) continue;
    for (const [, from, lazily] of readFileSync(path, 'utf8').matchAll(statement)) {
      const target = from ?? lazily ?? '';
      waiting.push(target.startsWith('.') ? relative(root, join(dirname(path), target)).replaceAll(sep, '/') : target);
    }
  }
  return seen;
}

const statement = /^(?:import|export)\s+(?!type\b)(?:[^;'"]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm;
