import { purposes } from './needs.mjs';

/** @typedef {import('./needs.mjs').Need} Need */
/** @typedef {import('./needs.mjs').Part} Part */
/** @typedef {import('./needs.mjs').Purpose} Purpose */

/**
 * What to install. `needed`: the packages without which it cannot go on. `better`: those with which more is shown. `hopeless`: what this
 * system has no package of, or what is there and of no use.
 * @typedef {{ needed: string[], better: string[], hopeless: Need[] }} Plan
 */

/**
 * Chooses packages for what is missing. Nothing is installed for a part that stays incomplete anyway.
 * @param {readonly Need[]} missing
 * @param {Purpose} purpose
 * @param {(name: string) => boolean} isOffered Whether the system's package lists have it.
 * @returns {Plan}
 */
export function planInstall(missing, purpose, isOffered) {
  const packageOf = (/** @type {Need} */ need) => (need.mend ? undefined : need.packages.find(isOffered));
  const hopeless = missing.filter((need) => packageOf(need) === undefined);
  const lost = new Set(hopeless.flatMap(({ parts }) => parts));
  const namesFor = (/** @type {readonly Part[]} */ parts) => {
    const wanted = missing.filter((need) => need.parts.some((part) => parts.includes(part)));
    return [...new Set(wanted.flatMap((need) => packageOf(need) ?? []))];
  };
  const needed = namesFor(purposes[purpose].needed);
  const better = namesFor((purposes[purpose].better ?? []).filter((part) => !lost.has(part)));
  return { needed, better: better.filter((name) => !needed.includes(name)), hopeless };
}

/**
 * What can be run where these things cannot be had.
 * @param {readonly Need[]} hopeless
 * @returns {Purpose[]}
 */
export function stillPossible(hopeless) {
  const lost = new Set(hopeless.flatMap(({ parts }) => parts));
  const all = /** @type {Purpose[]} */ (Object.keys(purposes));
  return all.filter((purpose) => !purposes[purpose].needed.some((part) => lost.has(part)));
}

/**
 * The names of those packages that apt could install, of what `apt-cache policy` printed (LC_ALL=C).
 * @param {string} text
 * @returns {Set<string>}
 */
export function candidatesIn(text) {
  const names = new Set();
  let name = '';
  for (const line of text.split('\n')) {
    const [, heading] = /^(\S+):$/.exec(line) ?? [];
    if (heading) name = heading.replace(/:[a-z0-9]+$/, '');
    else if (/^ {2}Candidate: (?!\(none\))/.test(line)) names.add(name);
  }
  return names;
}
