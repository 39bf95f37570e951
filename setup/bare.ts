// npm run bare [-- bookworm | trixie]: makes bare Debian systems in folders, and runs the demo on real LVM in them as their first users would.
// Needs root, and five to ten minutes a system. Fails when a run does not end as it must, or a program is used that nobody asked for.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BareSystem, makeBareSystem, type Suite } from './bare/bare-system.ts';
import { allNeeds } from './needs.mjs';

const suites: readonly Suite[] = ['bookworm', 'trixie'];
const named = process.argv.slice(2);
const unknown = named.find((each) => !suites.some((suite) => suite === each));
if (unknown) throw new Error(`there is no ${unknown}: ${suites.join(', ')}`);

const found: string[] = [];
let passed = 0;

/** Counts a check, and says how it went. */
function check(what: string, well: boolean): void {
  console.log(`${well ? '✔' : '✖'} ${what}`);
  if (well) passed += 1;
  else found.push(what);
}

const demo = ['npm', '--prefix', 'ferry', 'run', 'demo', '--', '--require-lvm'] as const;
const onLvm = /The same bytes, [0-9a-f]{64}, on server2@lvmstorage-2/;

async function runsTheDemo(system: BareSystem, user: string, what: string): Promise<void> {
  const { exitCode, output } = await system.run(user, demo);
  check(`${what}: the demo on LVM`, exitCode === 0 && onLvm.test(output));
}

/** Nothing is there: the one is told what to do, the other has it done. */
async function firstUsers(system: BareSystem, suite: Suite): Promise<void> {
  await system.addUser('plain', { sudo: false });
  const told = await system.run('plain', demo);
  const command = /sudo apt-get update && sudo apt-get install .*user-mode-linux/.test(told.output);
  check(`${suite}, a user without sudo: told the command`, told.exitCode === 3 && command);
  await system.addUser('admin', { sudo: true });
  await runsTheDemo(system, 'admin', `${suite}, a user with sudo`);
}

/** Programs that come with neither the bare system nor a package that setup asks for. */
async function unasked(system: BareSystem, bare: ReadonlySet<string>): Promise<string[]> {
  const asked = new Set(allNeeds().flatMap(({ packages }) => packages));
  const strangers: string[] = [];
  for (const program of await system.usedPrograms()) {
    const name = await system.packageOf(program);
    // Programs of packages are files; what is in no package is put there by this check.
    if (name === null || bare.has(name) || asked.has(name) || isPartOfAsked(name, asked)) continue;
    strangers.push(`${program} of ${name}`);
  }
  return strangers;
}

/** What a package is split into: `gcc` is a link to `gcc-12` and its parts. */
function isPartOfAsked(name: string, asked: ReadonlySet<string>): boolean {
  return [...asked].some((each) => name.startsWith(`${each}-`)) || /^(binutils|cpp|gcc)(-|$)/.test(name);
}

const folder = await mkdtemp(join(tmpdir(), 'bare-'));
try {
  for (const suite of named.length ? suites.filter((each) => named.includes(each)) : suites) {
    console.log(`\n${suite}: making a bare system (a minute)`);
    const system = await makeBareSystem(suite, join(folder, suite));
    const bare = await system.packages();
    if (suite === 'bookworm') await firstUsers(system, suite);
    else await runsTheDemo(system, 'root', `${suite}, root`);
    if (suite !== 'bookworm') await system.addUser('plain', { sudo: false });
    await system.forgetUse();
    await runsTheDemo(system, 'plain', `${suite}, a user, all packages there`);
    const strangers = await unasked(system, bare);
    check(
      `${suite}: every program that is used is asked for${strangers.map((each) => `\n  not: ${each}`).join('')}`,
      !strangers.length,
    );
    await rm(system.folder, { recursive: true, force: true });
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (found.length) console.log(`failed: ${found.join('; ')}`);
console.log(`${passed} passed, ${found.length} failed`);
process.exitCode = found.length ? 1 : 0;
