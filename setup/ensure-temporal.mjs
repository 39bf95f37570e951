import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findProgram } from './find-program.mjs';
import { cachedTemporal, findTemporal } from './find-temporal.mjs';
import { pinnedNode } from './npm-packages.mjs';
import { announce, NotReady, root, runs } from './report.mjs';

const version = 'v1.5.1';

/**
 * The path of the Temporal CLI, which is fetched when the machine has none.
 * @returns {string}
 */
export function ensureTemporal() {
  const found = findTemporal();
  if (found) return found;
  const folder = dirname(cachedTemporal());
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'new-'));
  try {
    if (download(work) || build(work)) {
      const [program = ''] = readdirSync(work);
      chmodSync(join(work, program), 0o755);
      // Renamed when complete: an interrupted one must not be taken for the program.
      renameSync(join(work, program), cachedTemporal());
      return cachedTemporal();
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  throw new NotReady(
    `Ferry needs the Temporal CLI, and it could be neither downloaded nor built here. Put \`temporal\` on the PATH (https://docs.temporal.io/cli), or with Go:\n\n  GOBIN='${folder}' go install github.com/temporalio/cli/cmd/temporal@${version}\n\nand run this again.`,
  );
}

/** @param {string} folder */
function download(folder) {
  announce(`fetching the Temporal CLI ${version} (up to three minutes)`);
  const program = join(root, 'setup/download-temporal.mjs');
  return runs(pinnedNode, [program, version, folder], { timeoutSeconds: 180 });
}

/** @param {string} folder */
function build(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const go = findProgram('go') ?? ['/usr/local/go/bin/go'].find((path) => findProgram(path));
  if (!go) {
    announce('it cannot be built either: there is no Go on the PATH');
    return false;
  }
  announce('building the Temporal CLI from source instead (four to ten minutes, once)');
  /** @type {Record<string, string>} */
  const env = { GOBIN: folder };
  if (!process.env['HOME']) Object.assign(env, { GOPATH: join(folder, '../go'), GOCACHE: join(folder, '../go-build') });
  return runs(go, ['install', `github.com/temporalio/cli/cmd/temporal@${version}`], { env });
}
