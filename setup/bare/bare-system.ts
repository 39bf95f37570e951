import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import { debianMirror } from '../debian-mirror.mjs';
import { findTemporal } from '../find-temporal.mjs';

export type Suite = 'bookworm' | 'trixie';

/** A Debian in a folder with nothing but its own minimum, Node with npm, and this checkout as a user would have it. */
export interface BareSystem {
  readonly folder: string;
  /** Runs a command there as that user, in its home; an exit code other than 0 is an answer. Its output is shown and kept. */
  run(user: string, argv: readonly [string, ...string[]]): Promise<{ exitCode: number; output: string }>;
  /** Adds a user with a copy of the checkout; `sudo`: may become root without a password. */
  addUser(name: string, options: { sudo: boolean }): Promise<void>;
  /** The names of the programs that were read since `forgetUse`. */
  usedPrograms(): Promise<string[]>;
  forgetUse(): Promise<void>;
  /** The package that a file came with; null: none. */
  packageOf(file: string): Promise<string | null>;
  /** The packages that are installed. */
  packages(): Promise<Set<string>>;
}

const root = join(import.meta.dirname, '../..');
const longAgo = '1970-01-02';

/** Makes it with debootstrap. About a minute, 250 MB. */
export async function makeBareSystem(suite: Suite, folder: string): Promise<BareSystem> {
  await makeDebian(suite, folder);
  await putNode(folder);
  await putCheckout(folder, 'root', '/root');

  const inside: BareSystem['run'] = async (user, argv) => {
    const enter = join(import.meta.dirname, 'enter-root.sh');
    const { exitCode = -1, all } = await execa('bash', [enter, folder, user, ...argv], {
      all: true,
      stdin: 'ignore',
      stdout: ['pipe', 'inherit'],
      stderr: ['pipe', 'inherit'],
      reject: false,
    });
    return { exitCode, output: all };
  };
  const ask = async (...argv: [string, ...string[]]) =>
    (await execa('chroot', [folder, ...argv], { reject: false })).stdout.trim();
  const programs = ['usr/bin', 'usr/sbin'].map((each) => join(folder, each));
  return {
    folder,
    run: inside,
    async addUser(name, { sudo }) {
      await execa('chroot', [folder, 'useradd', '--create-home', '--shell', '/bin/bash', name]);
      await putCheckout(folder, name, `/home/${name}`);
      if (!sudo) return;
      await execa('chroot', [folder, 'apt-get', 'install', '-y', '-q', '--no-install-recommends', 'sudo'], {
        env: { DEBIAN_FRONTEND: 'noninteractive' },
      });
      await writeFile(join(folder, 'etc/sudoers.d', name), `${name} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
    },
    async forgetUse() {
      await execa('find', [...programs, '-type', 'f', '-exec', 'touch', '-a', '-d', longAgo, '{}', '+']);
    },
    async usedPrograms() {
      const args = [...programs, '-type', 'f', '-newerat', '1971-01-01', '-printf', '/%P\\n'];
      const { stdout } = await execa('find', args);
      return [...new Set(stdout.split('\n').map((each) => each.slice(1)))].filter(Boolean).toSorted();
    },
    async packageOf(file) {
      const said = (await ask('dpkg', '-S', `*bin/${file}`)).split('\n');
      const line = said.find((each) => each.endsWith(`/bin/${file}`) || each.endsWith(`/sbin/${file}`));
      return line ? (line.split(':')[0] ?? null) : null;
    },
    async packages() {
      return new Set((await ask('dpkg-query', '-W', '-f', '${Package}\\n')).split('\n'));
    },
  };
}

/** Debian's own minimum in a folder, with this machine's package source and name server, in which no service is started. */
export async function makeDebian(suite: Suite, folder: string): Promise<void> {
  const mirror = debianMirror();
  if (mirror === undefined) throw new Error('This machine has no package source of Debian in /etc/apt.');
  // It mounts /proc there: in a mount namespace of its own that is gone with it, also when it is killed.
  await execa('unshare', ['--mount', 'debootstrap', '--variant=minbase', suite, folder, mirror]);
  const lists = [`${mirror} ${suite}`, `${mirror} ${suite}-updates`, `${mirror}-security ${suite}-security`];
  await writeFile(join(folder, 'etc/apt/sources.list'), lists.map((each) => `deb ${each} main\n`).join(''));
  // Services of packages are not started: this is no machine of its own.
  await writeFile(join(folder, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  await cp('/etc/resolv.conf', join(folder, 'etc/resolv.conf'), { dereference: true });
  await writeFile(join(folder, 'etc/hosts'), '127.0.0.1 localhost\n');
  await mkdir(join(folder, 'etc/ssl'), { recursive: true });
  // Where the network needs a certificate authority of its own, it is taken along.
  await cp('/etc/ssl/certs/ca-certificates.crt', join(folder, 'etc/ssl/bare.pem'), { dereference: true });
}

/** This machine's Node and npm, as a download from nodejs.org would put them there. */
async function putNode(folder: string): Promise<void> {
  const npm = dirname(dirname(process.env['npm_execpath'] ?? (await execa('realpath', [await which('npm')])).stdout));
  const modules = join(folder, 'usr/local/lib/node_modules');
  await mkdir(modules, { recursive: true });
  await cp(process.env['npm_node_execpath'] ?? process.execPath, join(folder, 'usr/local/bin/node'), {
    dereference: true,
  });
  await cp(npm, join(modules, 'npm'), { recursive: true });
  await execa('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr/local/bin/npm')]);
}

async function which(program: string): Promise<string> {
  return (await execa('which', [program])).stdout;
}

/** The files that are committed. The Temporal CLI stands in the cache, for the download that not every network allows. */
async function putCheckout(folder: string, user: string, home: string): Promise<void> {
  const files = (await execa('git', ['ls-files', '-z'], { cwd: root, stripFinalNewline: false })).stdout;
  const to = join(folder, home, 'ferry');
  await mkdir(to, { recursive: true });
  for (const file of files.split('\0').filter(Boolean)) await cp(join(root, file), join(to, file), { recursive: true });
  const temporal = findTemporal();
  if (temporal) {
    const cache = join(folder, home, '.cache/ferry/bin');
    await mkdir(cache, { recursive: true });
    await cp(resolve(temporal), join(cache, 'temporal'), { dereference: true });
  }
  await execa('chroot', [folder, 'chown', '-R', `${user}:${user}`, home]);
}
