import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isExecutable } from './find-program.mjs';
import { announce, NotReady, root, runs } from './report.mjs';

/** The Node that package.json pins; itself an npm package. */
export const pinnedNode = join(root, 'node_modules/node/bin/node');

/** Installs the npm packages unless those of package-lock.json are there already. */
export function installNpmPackages() {
  if (areInstalled()) return;
  announce('installing the npm packages (about a minute)');
  if (!runs('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])) {
    throw new NotReady('`npm ci` failed; see above. It needs a package registry that can be reached.');
  }
  if (!areInstalled()) {
    throw new NotReady(
      'npm left packages out. Their install scripts must be allowed (`npm config get ignore-scripts` must say false), and the development dependencies are needed too (NODE_ENV must not be production).',
    );
  }
}

/** npm notes what it has installed in node_modules/.package-lock.json, as the last thing it does. */
function areInstalled() {
  const installed = packagesOf('node_modules/.package-lock.json');
  const wanted = packagesOf('package-lock.json');
  if (!installed || !wanted || !isExecutable(pinnedNode)) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    // The project itself; and packages for other platforms.
    if (path === '' || (entry.optional && !installed[path])) return true;
    return installed[path]?.version === entry.version && installed[path]?.integrity === entry.integrity;
  });
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean }> | null}
 */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages;
  } catch {
    return null;
  }
}
