// node setup/run.mjs demo|test|test:LANE|matrix|chaos|tempest|check|bench|bare|compose|systemd|release [arguments]
// Makes this machine ready for it, then runs it on the Node version that the project pins. Plain JavaScript without
// dependencies, for any Node since 20: it runs before anything is installed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { withCompileCache } from './cache-folder.mjs';
import { installNpmPackages, pinnedNode } from './npm-packages.mjs';
import { laneOf, lanes, testFiles } from './lanes.mjs';
import { purposes } from './needs.mjs';
import { ownFolder } from './own-folder.mjs';
import { installSystemPackages } from './system-packages.mjs';
import { ensureNodeKernel } from './node-kernel.mjs';
import { ensureTemporal } from './ensure-temporal.mjs';
import { NotReady, root, WrongUsage } from './report.mjs';

/** @type {Record<string, string[]>} */
const programs = {
  demo: ['demo/run.ts'],
  test: ['setup/test.ts'],
  ...Object.fromEntries(lanes.map((lane) => [`test:${lane}`, ['setup/test.ts', `--lane=${lane}`]])),
  matrix: ['--test', 'test/faults/matrix.test.ts', 'test/faults/attached.test.ts'],
  chaos: ['test/chaos/run.ts'],
  tempest: ['test/tempest/run.ts'],
  check: ['setup/check.ts'],
  bench: ['bench/run.ts'],
  bare: ['setup/bare.ts'],
  compose: ['setup/compose.ts'],
  systemd: ['test/systemd/run.ts'],
  release: ['packaging/release.ts'],
};

const [name = '', ...args] = process.argv.slice(2);
const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
if (!program) {
  console.error(`usage: node setup/run.mjs ${Object.keys(programs).join('|')} [arguments]`);
  process.exit(2);
}

try {
  const named = args.filter((each) => !each.startsWith('-'));
  if (name === 'test') testFiles(named);
  installNpmPackages();
  const env = withCompileCache(process.env);
  const purpose = purposeOf(name, args);
  if (purpose) {
    installSystemPackages(purpose);
    const { needed, better = [] } = purposes[purpose];
    if ([...needed, ...better].includes('nodes')) ensureNodeKernel();
    if (needed.includes('directories')) env['FERRY_TEMPORAL'] = ensureTemporal();
  }
  if (name === 'matrix') env['FERRY_MATRIX'] = 'whole';
  await run([...program, ...args], env);
} catch (error) {
  if (!(error instanceof NotReady)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = error instanceof WrongUsage ? 2 : 3;
}

/**
 * What the machine must be ready for; null: npm packages are enough.
 * @param {string} name
 * @param {string[]} args
 * @returns {import('./needs.mjs').Purpose | null}
 */
function purposeOf(name, args) {
  if (name === 'check' || name === 'release') return null;
  if (name === 'matrix' || name === 'chaos') return 'test';
  if (name === 'test') return purposeOfTests(args);
  if (name !== 'demo') return /** @type {import('./needs.mjs').Purpose} */ (name);
  // Both have a guest of a hypervisor.
  if (args.includes('--attached') || args.includes('--evacuate')) return 'demo -- --attached';
  const requiresLvm = args.includes('--require-lvm');
  if (args.includes('--cinder')) return requiresLvm ? 'demo -- --cinder --require-lvm' : 'demo -- --cinder';
  return requiresLvm ? 'demo -- --require-lvm' : 'demo';
}

/**
 * Tests that are named need no more than their lane does.
 * @param {string[]} named
 * @returns {import('./needs.mjs').Purpose}
 */
function purposeOfTests(named) {
  const [lane, ...others] = new Set(testFiles(named).map(laneOf));
  return lane && !others.length ? `test:${lane}` : 'test';
}

/**
 * Runs it, and leaves nothing behind, whoever of us is killed.
 * @param {string[]} argv
 * @param {NodeJS.ProcessEnv} env
 */
async function run(argv, env) {
  const own = ownFolder(env);
  const child = spawn(pinnedNode, argv, { cwd: root, stdio: 'inherit', env: own.env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    // A terminal sends Ctrl-C to both: once is enough.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  whenStarterEnds(() => child.kill('SIGTERM'));
  const [code] = await once(child, 'exit');
  await own.sweepUp();
  process.exit(code ?? 1);
}

/**
 * npm starts us through a shell, and who kills npm means us. A process that is told nothing of its starter's end has another parent then.
 * @param {() => void} end
 */
function whenStarterEnds(end) {
  if (!process.env['npm_lifecycle_event']) return;
  const [parent, shellsParent] = [process.ppid, parentOf(process.ppid)];
  const timer = setInterval(() => {
    if (process.ppid === parent && parentOf(parent) === shellsParent) return;
    clearInterval(timer);
    end();
  }, 1000);
}

/** @param {number} pid */
function parentOf(pid) {
  try {
    return /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
