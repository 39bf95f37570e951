import { join } from 'node:path';
import { cacheFolder } from './cache-folder.mjs';
import { findProgram, isExecutable } from './find-program.mjs';

/** Where the Temporal CLI is put when the machine has none of its own. */
export const cachedTemporal = () => join(cacheFolder(), 'bin', 'temporal');

/**
 * The Temporal CLI, whose development server is the embedded Temporal: what FERRY_TEMPORAL says, else the one on PATH,
 * else the one that an earlier `npm run demo` or `npm test` fetched.
 * @returns {string | undefined}
 */
export function findTemporal() {
  const candidates = [process.env['FERRY_TEMPORAL'], findProgram('temporal'), cachedTemporal()];
  return candidates.find((file) => file !== undefined && file !== '' && isExecutable(file));
}
