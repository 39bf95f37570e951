import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { findProgram } from './find-program.mjs';
import { announce, NotReady, runs } from './report.mjs';

/**
 * What is needed of the system. `needed`: cannot do without; `better`: the demo shows less without it.
 * @typedef {{ what: string, there: boolean, debian: string, needed: string[], better?: string[] }} Need
 */

/** @returns {Need[]} */
function needs() {
  const attached = 'demo -- --attached';
  const everything = ['demo', attached, 'test', 'bench'];
  const nodes = { needed: ['test', 'bench'], better: ['demo'] };
  const tests = { needed: ['test', 'bench'] };
  const guests = { needed: ['test', 'bench', attached] };
  return [
    { ...program('qemu-nbd'), debian: 'qemu-utils', needed: everything },
    { ...program('qemu-img'), debian: 'qemu-utils', needed: everything },
    { ...program('unshare'), debian: 'util-linux', needed: everything },
    { ...program('setpriv'), debian: 'util-linux', needed: everything },
    { ...program('taskset'), debian: 'util-linux', ...nodes },
    { ...program('mount'), debian: 'mount', ...nodes },
    { ...program('openssl'), debian: 'openssl', needed: everything },
    // Storage nodes with a real LVM.
    { ...program('linux.uml'), debian: 'user-mode-linux', ...nodes },
    { ...program('lvm'), debian: 'lvm2', ...nodes },
    { ...program('dmsetup'), debian: 'dmsetup', ...nodes },
    { ...program('thin_check'), debian: 'thin-provisioning-tools', ...nodes },
    { ...program('ip'), debian: 'iproute2', ...nodes },
    { ...program('insmod'), debian: 'kmod', ...nodes },
    { ...program('busybox'), there: hasStaticBusybox(), debian: 'busybox-static', ...nodes, ...guests },
    { ...program('gcc'), debian: 'gcc', ...nodes, ...guests },
    { ...file('/usr/include/stdio.h'), debian: 'libc6-dev', ...nodes, ...guests },
    // What the tests and measurements compare with, break and look through.
    { ...program('nbdinfo'), debian: 'libnbd-bin', ...tests },
    { ...program('nbdcopy'), debian: 'libnbd-bin', ...tests },
    { ...program('nbdkit'), debian: 'nbdkit', ...tests },
    { ...program('fincore'), debian: 'util-linux-extra', ...tests },
    { ...program('pgbouncer'), debian: 'pgbouncer', needed: ['test'] },
    { ...program('chromium'), debian: 'chromium', needed: ['test'] },
    // A hypervisor of its own, with a guest, for attached volumes.
    { ...program('virsh'), debian: 'libvirt-clients', ...guests },
    { ...program('libvirtd'), debian: 'libvirt-daemon', ...guests },
    { what: "libvirt's QEMU driver", there: hasLibvirtDriver(), debian: 'libvirt-daemon-driver-qemu', ...guests },
    { ...program('qemu-system-x86_64'), debian: 'qemu-system-x86', ...guests },
    { what: 'a kernel for guests in /boot', there: hasKernel(), debian: 'linux-image-cloud-amd64', ...guests },
    { ...program('xz'), debian: 'xz-utils', ...guests },
  ];
}

/**
 * Installs what is missing, or says how to.
 * @param {string} purpose
 */
export function installSystemPackages(purpose) {
  const wanted = needs().filter(({ needed, better = [] }) => [...needed, ...better].includes(purpose));
  const missing = wanted.filter(({ there }) => !there);
  if (!missing.length) return;
  const names = missing.map(({ what }) => what).join(', ');
  const packages = [...new Set(missing.map(({ debian }) => debian))];
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const asRoot = rootPrefix();
  if (findProgram('apt-get') && asRoot) {
    announce(`installing system packages for ${names} (one to five minutes): ${command}`);
    install(asRoot, packages);
  }
  const still = needs().filter(({ what, there }) => !there && missing.some((each) => each.what === what));
  const essential = still.filter(({ needed }) => needed.includes(purpose));
  if (essential.length) {
    throw new NotReady(
      `\`npm run ${purpose}\` needs ${essential.map(({ what }) => what).join(', ')}. Install it, on Debian or Ubuntu:\n\n  sudo apt-get update && sudo ${command}\n\nand run this again.`,
    );
  }
  if (still.length) {
    announce(`going on without ${still.map(({ what }) => what).join(', ')}; to have it: sudo ${command}`);
  }
}

/**
 * @param {string[]} asRoot
 * @param {string[]} packages
 */
function install(asRoot, packages) {
  const apt = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  const [program = '', ...args] = apt;
  // An update that fails is no reason to stop: the lists that are there may do.
  runs(program, [...args, 'update']);
  runs(program, [...args, 'install', '-y', '--no-install-recommends', ...packages]);
}

/**
 * What must come before a command so that root runs it; null when this user cannot become root without being asked.
 * @returns {string[] | null}
 */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return findProgram('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : null;
}

/** @param {string} name */
function program(name) {
  return { what: name, there: findProgram(name) !== undefined };
}

/** @param {string} path */
function file(path) {
  return { what: path, there: existsSync(path) };
}

/** Guests have no libraries. A program that needs some names its loader. */
function hasStaticBusybox() {
  const path = findProgram('busybox');
  return path !== undefined && !readFileSync(path).includes('/ld-linux');
}

function hasLibvirtDriver() {
  const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
  return folders.some((folder) => existsSync(`${folder}/libvirt/connection-driver/libvirt_driver_qemu.so`));
}

function hasKernel() {
  try {
    return readdirSync('/boot').some((name) => {
      if (!name.startsWith('vmlinuz-')) return false;
      accessSync(`/boot/${name}`, constants.R_OK);
      return existsSync(`/lib/modules/${name.slice('vmlinuz-'.length)}/modules.dep`);
    });
  } catch {
    return false;
  }
}
