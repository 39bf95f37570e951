import { chmodSync, linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { removeUnfinished } from './cache-folder.mjs';
import { findProgram, isExecutable } from './find-program.mjs';
import { cachedTemporal, findTemporal, temporalVersion as version, unversionedTemporal } from './find-temporal.mjs';
import { pinnedNode } from './npm-packages.mjs';
import { announce, NotReady, root, runs } from './report.mjs';

/**
 * The path of the Temporal CLI, which is fetched when the machine has none.
 * @returns {string}
 */
export function ensureTemporal() {
  adoptUnversioned();
  const found = findTemporal();
  if (found) return found;
  const folder = dirname(cachedTemporal());
  mkdirSync(folder, { recursive: true });
  removeUnfinished(folder);
  const work = mkdtempSync(join(folder, `new-${process.pid}-`));
  const since = Date.now();
  try {
    if (download(work) || build(work)) {
      const [program = ''] = readdirSync(work);
      chmodSync(join(work, program), 0o755);
      // Renamed when complete: an interrupted one must not be taken for the program.
      renameSync(join(work, program), cachedTemporal());
      const { size } = statSync(cachedTemporal());
      const seconds = Math.round((Date.now() - since) / 1000);
      announce(
        `the Temporal CLI ${version} is there after ${seconds} s: ${cachedTemporal()}, ${mib(size)} MiB, kept for the next time`,
      );
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
  announce(
    `fetching the Temporal CLI ${version} from https://temporal.download, about 60 MiB (given up after three minutes)`,
  );
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
  const proxy = process.env['GOPROXY'] || 'https://proxy.golang.org';
  announce(
    `building it instead with ${go}: github.com/temporalio/cli/cmd/temporal@${version} and what it needs, about 280 MiB from ${withoutPassword(proxy)} (four to ten minutes, once)`,
  );
  /** @type {Record<string, string>} */
  const env = { GOBIN: folder };
  if (!process.env['HOME']) Object.assign(env, { GOPATH: join(folder, '../go'), GOCACHE: join(folder, '../go-build') });
  return runs(go, ['install', `github.com/temporalio/cli/cmd/temporal@${version}`], { env });
}

/** One that an earlier Ferry fetched is as good. */
function adoptUnversioned() {
  if (version !== 'v1.5.1' || isExecutable(cachedTemporal()) || !isExecutable(unversionedTemporal())) return;
  try {
    linkSync(unversionedTemporal(), cachedTemporal());
  } catch {
    // Another process was faster, or the file system has no links: then it is fetched.
  }
}

/** @param {number} bytes */
function mib(bytes) {
  return Math.round(bytes / 2 ** 20);
}

/** @param {string} urls A list, as Go takes it. */
function withoutPassword(urls) {
  return urls.replaceAll(/\/\/[^/@,|]*@/g, '//');
}
