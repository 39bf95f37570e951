import { join } from 'node:path';
import { cacheFolder } from './cache-folder.mjs';
import { findProgram, isExecutable } from './find-program.mjs';

/**
 * The version of the Temporal CLI that is fetched. The newest that can be had in all three ways: 1.9.1 cannot be installed by `go install`,
 * because its go.mod has a replace directive, and what lies between is not offered by every Go module proxy.
 */
export const temporalVersion = 'v1.5.1';

/** Where the Temporal CLI is put when the machine has none of its own. */
export const cachedTemporal = () => join(cacheFolder(), 'bin', `temporal-${temporalVersion}`);

/** Where it was put before its version was in its name: v1.5.1, always. */
export const unversionedTemporal = () => join(cacheFolder(), 'bin', 'temporal');

/**
 * The Temporal CLI, whose development server is the embedded Temporal: what FERRY_TEMPORAL says, else the one on PATH,
 * else the one that an earlier `npm run demo` or `npm test` fetched.
 * @returns {string | undefined}
 */
export function findTemporal() {
  const candidates = [process.env['FERRY_TEMPORAL'], findProgram('temporal'), cachedTemporal()];
  return candidates.find((file) => file !== undefined && file !== '' && isExecutable(file));
}
