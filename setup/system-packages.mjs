import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { findProgram } from './find-program.mjs';
import { allNeeds, purposes } from './needs.mjs';
import { candidatesIn, planInstall, stillPossible } from './plan-install.mjs';
import { announce, NotReady, runs } from './report.mjs';

/** @typedef {import('./needs.mjs').Need} Need */
/** @typedef {import('./needs.mjs').Part} Part */
/** @typedef {import('./needs.mjs').Purpose} Purpose */

/**
 * Installs what is missing, or says how to.
 * @param {Purpose} purpose
 */
export function installSystemPackages(purpose) {
  const { needed, better = [] } = purposes[purpose];
  const missing = missingOf([...needed, ...better]);
  if (!missing.length) return;
  const asRoot = findProgram('apt-get') ? rootPrefix() : null;
  // An update that fails is no reason to stop: the lists that are there may do.
  if (asRoot) apt(asRoot, ['update']);
  const plan = planInstall(missing, purpose, offeredBySystem(missing));
  const never = essentialOf(plan.hopeless, needed);
  if (never.length) throw new NotReady(whatToDo(purpose, never, plan));
  if (asRoot) install(asRoot, plan);

  const left = missingOf([...needed, ...better]);
  const essential = essentialOf(left, needed);
  if (essential.length) throw new NotReady(whatToDo(purpose, essential, plan));
  if (left.length) {
    announce(`going on without ${names(left)}.${reasons(left, plan.hopeless)}${byHand('To have it', plan.better)}`);
  }
}

/**
 * @param {readonly Part[]} parts
 * @returns {Need[]}
 */
function missingOf(parts) {
  return allNeeds().filter((need) => !need.there && need.parts.some((part) => parts.includes(part)));
}

/**
 * @param {readonly Need[]} needs
 * @param {readonly Part[]} needed
 */
function essentialOf(needs, needed) {
  return needs.filter(({ parts }) => parts.some((part) => needed.includes(part)));
}

/**
 * @param {string[]} asRoot
 * @param {import('./plan-install.mjs').Plan} plan
 */
function install(asRoot, { needed, better }) {
  for (const packages of [needed, better]) {
    if (!packages.length) continue;
    announce(`installing system packages (one to five minutes): ${packages.join(' ')}`);
    if (apt(asRoot, [...installation, ...packages]) || packages === needed) continue;
    // One that cannot be had must not keep the others back.
    for (const name of packages) apt(asRoot, [...installation, name]);
  }
}

const installation = ['install', '-y', '--no-install-recommends'];

/**
 * @param {string[]} asRoot
 * @param {string[]} args
 */
function apt(asRoot, args) {
  const words = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  const [program = '', ...rest] = words;
  return runs(program, [...rest, ...args]);
}

/**
 * Asks apt which of the packages it could install. Where it has no lists yet, all of them may be.
 * @param {readonly Need[]} missing
 * @returns {(name: string) => boolean}
 */
function offeredBySystem(missing) {
  const wanted = [...new Set(missing.flatMap(({ packages }) => packages))];
  const { stdout } = spawnSync('apt-cache', ['policy', ...wanted], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const offered = candidatesIn(stdout ?? '');
  return (name) => !hasPackageLists() || offered.has(name);
}

function hasPackageLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));
  } catch {
    return false;
  }
}

/**
 * @param {Purpose} purpose
 * @param {readonly Need[]} left
 * @param {import('./plan-install.mjs').Plan} plan
 */
function whatToDo(purpose, left, { needed, hopeless }) {
  const never = hopeless.filter(({ what }) => left.some((each) => each.what === what));
  const text = `\`npm run ${purpose}\` needs ${names(left)}.${reasons(left, never)}`;
  if (!never.length) return `${text}${byHand('Install it, on Debian or Ubuntu', needed)}\n\nand run this again.`;
  const others = stillPossible(never).filter((each) => !['bench', 'bare'].includes(each));
  return `${text}\n\nWhat runs here without it: ${others.map((each) => `\`npm run ${each}\``).join(', ')}.`;
}

/**
 * Why what is left cannot be installed here.
 * @param {readonly Need[]} left
 * @param {readonly Need[]} hopeless
 */
function reasons(left, hopeless) {
  const known = hopeless.filter(({ what }) => left.some((each) => each.what === what));
  const absent = known.filter(({ mend }) => mend === undefined);
  const packages = [...new Set(absent.map((each) => each.packages.join(' or ')))];
  return [
    ...known.flatMap(({ mend }) => (mend === undefined ? [] : [` ${mend}.`])),
    ...(packages.length ? [` ${systemName()} has no package ${packages.join(', ')}; Debian 12 and 13 do.`] : []),
  ].join('');
}

/**
 * @param {string} intent
 * @param {readonly string[]} packages
 */
function byHand(intent, packages) {
  if (!packages.length) return '';
  const command = `apt-get ${installation.join(' ')} ${packages.join(' ')}`;
  return ` ${intent}:\n\n  sudo apt-get update && sudo ${command}`;
}

/** @param {readonly Need[]} needs */
function names(needs) {
  return needs.map(({ what }) => what).join(', ');
}

/** As this system calls itself. */
function systemName() {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'This system';
  } catch {
    return 'This system';
  }
}

/**
 * What must come before a command so that root runs it; null when this user cannot become root without being asked.
 * @returns {string[] | null}
 */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return findProgram('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : null;
}
