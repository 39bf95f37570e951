import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * The folder for what is made once on a machine and kept between checkouts: the Temporal CLI, compiled parts.
 * A user without a home gets one below the temporary folder. Created if it is not there.
 * @returns {string}
 */
export function cacheFolder() {
  const home = homedir();
  const base = process.env['XDG_CACHE_HOME'] || (home && join(home, '.cache'));
  if (base) {
    const folder = join(base, 'ferry');
    if (usable(folder)) return folder;
  }
  const folder = join(tmpdir(), `ferry-cache-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/**
 * The environment with a place where Node keeps what it has compiled: the next start takes half as long. One that is given stays.
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withCompileCache(env) {
  return { ...env, NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? join(cacheFolder(), 'compiled') };
}

/**
 * What others began in the folder and did not end, because they were killed: as `new-PID-…`.
 * @param {string} folder
 */
export function removeUnfinished(folder) {
  for (const name of readdirSync(folder)) {
    const [, pid] = /^new-(\d+)-/.exec(name) ?? [];
    if (pid && !existsSync(`/proc/${pid}`)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** @param {string} folder */
function usable(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    return true;
  } catch {
    return false;
  }
}
