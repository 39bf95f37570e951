import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { cacheFolder, removeUnfinished } from './cache-folder.mjs';
import { debianMirror } from './debian-mirror.mjs';
import { findProgram, isExecutable } from './find-program.mjs';
import { announce, runs } from './report.mjs';

/**
 * The user-mode Linux that is the kernel of storage nodes. `program`: what is started, with `folder` as the working folder and `env`.
 * `modules`: the folder that is the node's /lib/modules. `isOld`: it is older than 6.16; such a kernel traces the programs in it, and needs
 * a shim on cpus with a large state.
 * @typedef {{ program: string, folder: string, env: Record<string, string>, modules: string, isOld: boolean }} NodeKernel
 */

/**
 * The suite of Debian whose user-mode Linux is taken: the first with Linux 7. Since 6.16 a system call in the node is no longer traced, and
 * since 6.11 a page fault costs one call instead of many: a program's start takes a third of the time that it takes with Debian 12's.
 */
const suite = 'forky';
/** Debian 12's, and what it is called later. */
const keyrings = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp'];
const packages = ['user-mode-linux', 'libc6'];
const loader = '/lib64/ld-linux-x86-64.so.2';
/** Relative, as its loader is. */
const ownProgram = './linux.uml';

/** Where it is put. The number counts what is made of the packages. */
const cachedKernel = () => join(cacheFolder(), `node-kernel-${suite}-1`);

/**
 * The one that an earlier run fetched, else the one that is installed.
 * @returns {NodeKernel | undefined}
 */
export function findNodeKernel() {
  const folder = cachedKernel();
  if (isExecutable(join(folder, 'linux.uml')))
    return {
      program: ownProgram,
      folder,
      env: { LD_LIBRARY_PATH: folder },
      modules: join(folder, 'modules'),
      isOld: false,
    };
  const program = findProgram('linux.uml');
  return program === undefined
    ? undefined
    : { program, folder: '/', env: {}, modules: '/usr/lib/uml/modules', isOld: true };
}

/**
 * Fetches it from Debian if it is not there. Where that cannot be the installed one does, slowly: this is no error.
 */
export function ensureNodeKernel() {
  if (isExecutable(join(cachedKernel(), 'linux.uml')) || process.arch !== 'x64' || !findProgram('apt-get')) return;
  const keyring = keyrings.find((file) => existsSync(file));
  if (!keyring) return;
  removeUnfinished(cacheFolder());
  const work = mkdtempSync(join(cacheFolder(), `new-${process.pid}-`));
  announce(`fetching user-mode Linux 7 for storage nodes from Debian ${suite}, about 50 MiB (it is kept)`);
  const since = Date.now();
  try {
    if (fetched(work, keyring) && made(work) && comesUp(join(work, 'kernel'))) {
      rmSync(cachedKernel(), { recursive: true, force: true });
      // Renamed when complete: an interrupted one must not be taken for the kernel.
      renameSync(join(work, 'kernel'), cachedKernel());
      announce(`it is there after ${Math.round((Date.now() - since) / 1000)} s: ${cachedKernel()}`);
    } else {
      announce(
        'it cannot be had here: storage nodes have the user-mode Linux that is installed, and take three times as long',
      );
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Asks apt with lists of its own, so that the machine's are as they were. Needs no root.
 * @param {string} work
 * @param {string} keyring
 */
function fetched(work, keyring) {
  for (const each of ['none', 'state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(work, each), { recursive: true });
  const mirror = debianMirror() ?? 'http://deb.debian.org/debian';
  writeFileSync(join(work, 'sources.list'), `deb [arch=amd64 signed-by=${keyring}] ${mirror} ${suite} main\n`);
  writeFileSync(join(work, 'status'), '');
  const settings = {
    'Dir::Etc::SourceList': join(work, 'sources.list'),
    'Dir::Etc::SourceParts': join(work, 'none'),
    'Dir::State': join(work, 'state'),
    'Dir::State::Lists': join(work, 'state/lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
  };
  const options = ['-q', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
  const apt = (/** @type {string[]} */ ...words) =>
    runs('apt-get', [...options, ...words], { timeoutSeconds: 300, folder: work });
  return apt('update', '--error-on=any') && apt('download', ...packages);
}

/**
 * The kernel and the C library that it was built with, which is newer than this machine's may be.
 * @param {string} work
 */
function made(work) {
  const unpacked = join(work, 'unpacked');
  const debs = readdirSync(work).filter((name) => name.endsWith('.deb'));
  if (!debs.every((deb) => runs('dpkg-deb', ['--extract', join(work, deb), unpacked]))) return false;
  const kernel = join(work, 'kernel');
  mkdirSync(kernel);
  const library = (/** @type {string} */ name) => join(unpacked, 'usr/lib/x86_64-linux-gnu', name);
  copyFileSync(library('libc.so.6'), join(kernel, 'libc.so.6'));
  copyFileSync(library('ld-linux-x86-64.so.2'), join(kernel, 'ld.so'));
  writeFileSync(join(kernel, 'linux.uml'), withOwnLoader(readFileSync(join(unpacked, 'usr/bin/linux.uml'))));
  chmodSync(join(kernel, 'linux.uml'), 0o755);
  renameSync(join(unpacked, 'usr/lib/uml/modules'), join(kernel, 'modules'));
  return true;
}

/**
 * The program with the loader of its working folder in place of the machine's. Started by the loader instead it would find its heap
 * elsewhere, which user-mode Linux cannot do with.
 * @param {Buffer} program
 */
function withOwnLoader(program) {
  const at = program.indexOf(`${loader}\0`);
  if (at === -1) throw new Error(`linux.uml is not loaded by ${loader}`);
  program.fill(0, at, at + loader.length);
  program.write('./ld.so', at);
  return program;
}

/**
 * Whether a node of it comes up here and goes down again.
 * @param {string} kernel
 */
function comesUp(kernel) {
  const init = join(kernel, 'power-off');
  writeFileSync(init, '#!/bin/sh\necho the node is up\nexec busybox poweroff -f\n', { mode: 0o755 });
  const boot = ['mem=128M', 'root=/dev/root', 'rootfstype=hostfs', 'ro', 'panic=1', 'con=null', 'con0=null,fd:1'];
  const { status, stdout } = spawnSync(ownProgram, [...boot, `init=${init}`, `uml_dir=${kernel}/`], {
    cwd: kernel,
    env: { ...process.env, LD_LIBRARY_PATH: kernel },
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  rmSync(init);
  return status === 0 && stdout.includes('the node is up');
}
