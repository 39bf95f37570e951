// node setup/run.mjs demo|test|matrix|chaos|check|bench [arguments]
// Makes this machine ready for it, then runs it on the Node version that the project pins. Plain JavaScript without
// dependencies, for any Node since 20: it runs before anything is installed.
import { spawn } from 'node:child_process';
import { withCompileCache } from './cache-folder.mjs';
import { installNpmPackages, pinnedNode } from './npm-packages.mjs';
import { installSystemPackages } from './system-packages.mjs';
import { ensureTemporal } from './ensure-temporal.mjs';
import { NotReady, root } from './report.mjs';

/** @typedef {'demo' | 'test' | 'matrix' | 'chaos' | 'check' | 'bench'} Purpose */

/** @type {Record<Purpose, string[]>} */
const programs = {
  demo: ['demo/run.ts'],
  test: ['setup/test.ts'],
  matrix: ['--test', 'test/faults/matrix.test.ts', 'test/faults/attached.test.ts'],
  chaos: ['test/chaos/run.ts'],
  check: ['setup/check.ts'],
  bench: ['bench/run.ts'],
};

const [purpose, ...args] = process.argv.slice(2);
if (!isPurpose(purpose)) {
  console.error(`usage: node setup/run.mjs ${Object.keys(programs).join('|')} [arguments]`);
  process.exit(2);
}

try {
  installNpmPackages();
  const env = withCompileCache(process.env);
  if (purpose !== 'check') {
    installSystemPackages(needsOf(purpose, args));
    env['FERRY_TEMPORAL'] = ensureTemporal();
  }
  if (purpose === 'matrix') env['FERRY_MATRIX'] = 'whole';
  run([...programs[purpose], ...args], env);
} catch (error) {
  if (!(error instanceof NotReady)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 3;
}

/**
 * @param {Exclude<Purpose, 'check'>} purpose
 * @param {string[]} args
 */
function needsOf(purpose, args) {
  if (purpose === 'matrix' || purpose === 'chaos') return 'test';
  return purpose === 'demo' && args.includes('--attached') ? 'demo -- --attached' : purpose;
}

/**
 * @param {string[]} argv
 * @param {NodeJS.ProcessEnv} env
 */
function run(argv, env) {
  const child = spawn(pinnedNode, argv, { cwd: root, stdio: 'inherit', env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    // A terminal sends Ctrl-C to both: once is enough.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  child.on('exit', (code) => process.exit(code ?? 1));
}

/**
 * @param {string | undefined} word
 * @returns {word is Purpose}
 */
function isPurpose(word) {
  return word !== undefined && Object.hasOwn(programs, word);
}
