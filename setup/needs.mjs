import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from './find-program.mjs';

/**
 * A kind of thing that runs here and what it takes. `postgres`: the embedded one. `directories`: Temporal and workers, with storage
 * nodes whose back ends are directories. `nodes`: storage nodes with a real LVM. `hypervisor`: a libvirt of one's own with a guest.
 * `measures`: what tests compare with, break and look through. `pooler`: PgBouncer. `browser`: a browser. `keystone`: OpenStack's identity
 * service and its clients. `clients`: of Cinder alone. `cinder`: Cinder's own database code, and the server that most Cinders have theirs on. `roots`: bare Debian systems. `machines`: such
 * with a network, releases to install, and guests.
 * @typedef {'postgres' | 'directories' | 'nodes' | 'hypervisor' | 'measures' | 'pooler' | 'browser' | 'keystone' | 'clients' | 'cinder' | 'roots' | 'machines'} Part
 */

/**
 * Something of the system. `packages`: what has it on Debian or Ubuntu, the best first. `mend`: it is there, but of no use as it is, and
 * no package helps; what does.
 * @typedef {{ what: string, there: boolean, packages: string[], parts: Part[], mend?: string }} Need
 */

/**
 * What somebody wants to run here.
 * @typedef {'demo' | 'demo -- --require-lvm' | 'demo -- --cinder' | 'demo -- --cinder --require-lvm' | 'demo -- --attached' | 'test:unit' | 'test:registry' | 'test:nodes' | 'test:attached'
 *   | 'test' | 'tempest' | 'bench' | 'bare' | 'compose' | 'systemd'} Purpose
 */

/**
 * Which parts a purpose cannot do without, and which make it show more.
 * @type {Record<Purpose, { needed: Part[], better?: Part[] }>}
 */
export const purposes = {
  demo: { needed: ['postgres', 'directories'], better: ['nodes'] },
  'demo -- --require-lvm': { needed: ['postgres', 'directories', 'nodes'] },
  'demo -- --cinder': { needed: ['postgres', 'directories', 'clients'], better: ['nodes'] },
  'demo -- --cinder --require-lvm': { needed: ['postgres', 'directories', 'clients', 'nodes'] },
  'demo -- --attached': { needed: ['postgres', 'directories', 'hypervisor'] },
  'test:unit': { needed: [] },
  'test:registry': { needed: ['postgres', 'pooler'] },
  'test:nodes': { needed: ['postgres', 'directories', 'nodes', 'measures', 'browser', 'keystone', 'cinder'] },
  'test:attached': { needed: ['postgres', 'directories', 'nodes', 'hypervisor', 'measures', 'clients'] },
  test: {
    needed: [
      'postgres',
      'pooler',
      'directories',
      'nodes',
      'hypervisor',
      'measures',
      'browser',
      'keystone',
      'clients',
      'cinder',
    ],
  },
  tempest: { needed: ['postgres', 'directories', 'keystone'] },
  bench: { needed: ['postgres', 'directories', 'nodes', 'hypervisor', 'measures'] },
  bare: { needed: ['roots'] },
  compose: { needed: ['roots', 'directories'] },
  systemd: { needed: ['roots', 'directories', 'machines'] },
};

/** @returns {Need[]} */
export function allNeeds() {
  return [
    program('setpriv', ['util-linux'], ['postgres']),
    program('qemu-nbd', ['qemu-utils'], ['directories']),
    program('qemu-img', ['qemu-utils'], ['directories', 'hypervisor']),
    program('unshare', ['util-linux'], ['directories', 'hypervisor']),
    program('openssl', ['openssl'], ['directories', 'nodes']),
    // It makes the sockets that export servers are handed.
    program('perl', ['perl-base'], ['directories', 'hypervisor']),
    // Storage nodes with a real LVM.
    program('linux.uml', ['user-mode-linux'], ['nodes']),
    program('lvm', ['lvm2'], ['nodes']),
    program('dmsetup', ['dmsetup'], ['nodes']),
    program('thin_check', ['thin-provisioning-tools'], ['nodes']),
    program('ip', ['iproute2'], ['nodes', 'machines']),
    program('insmod', ['kmod'], ['nodes']),
    program('taskset', ['util-linux'], ['nodes']),
    program('mount', ['mount'], ['nodes', 'hypervisor']),
    { ...program('busybox', ['busybox-static'], ['nodes', 'hypervisor']), there: hasStaticBusybox() },
    program('gcc', ['gcc'], ['nodes', 'hypervisor', 'measures']),
    file('/usr/include/stdio.h', ['libc6-dev'], ['nodes', 'hypervisor', 'measures']),
    // What the tests and measurements compare with, break and look through.
    program('nbdinfo', ['libnbd-bin'], ['measures']),
    program('nbdcopy', ['libnbd-bin'], ['measures']),
    program('nbdkit', ['nbdkit'], ['measures']),
    program('fincore', ['util-linux-extra'], ['directories', 'nodes']),
    program('pgbouncer', ['pgbouncer'], ['pooler']),
    program('curl', ['curl'], ['measures']),
    program('prometheus', ['prometheus'], ['measures']),
    program('promtool', ['prometheus'], ['measures']),
    program('zsh', ['zsh'], ['measures']),
    program('fish', ['fish'], ['measures']),
    program('mkfs.ext4', ['e2fsprogs'], ['measures']),
    program('ss', ['iproute2'], ['directories', 'nodes', 'hypervisor', 'measures']),
    program('nft', ['nftables'], ['hypervisor']),
    program('chromium', ['chromium'], ['browser']),
    // The library alone: it starts no service.
    program('keystone-manage', ['python3-keystone'], ['keystone']),
    program('cinder', ['python3-cinderclient'], ['keystone', 'clients']),
    program('openstack', ['python3-openstackclient'], ['keystone']),
    // What a Cinder has its volumes in. The libraries and the server alone: they start no service.
    file('/usr/lib/python3/dist-packages/cinder', ['python3-cinder'], ['cinder']),
    file('/usr/lib/python3/dist-packages/pymysql', ['python3-pymysql'], ['cinder']),
    file('/usr/lib/python3/dist-packages/psycopg2', ['python3-psycopg2'], ['cinder']),
    program('mariadbd', ['mariadb-server-core', 'mariadb-server-core-10.6'], ['cinder']),
    // A hypervisor of its own, with a guest, for attached volumes.
    program('virsh', ['libvirt-clients'], ['hypervisor']),
    program('libvirtd', ['libvirt-daemon'], ['hypervisor']),
    { ...libvirtDriver(), packages: ['libvirt-daemon-driver-qemu'], parts: ['hypervisor'] },
    program('qemu-system-x86_64', ['qemu-system-x86'], ['hypervisor']),
    { ...guestKernel(), packages: ['linux-image-cloud-amd64', 'linux-image-virtual'], parts: ['hypervisor'] },
    program('xz', ['xz-utils'], ['hypervisor']),
    program('debootstrap', ['debootstrap'], ['roots']),
    program('dpkg-deb', ['dpkg'], ['machines']),
    program('strip', ['binutils'], ['machines']),
  ];
}

/**
 * @param {string} what
 * @param {string[]} packages
 * @param {Part[]} parts
 * @returns {Need}
 */
function program(what, packages, parts) {
  return { what, there: findProgram(what) !== undefined, packages, parts };
}

/**
 * @param {string} what
 * @param {string[]} packages
 * @param {Part[]} parts
 * @returns {Need}
 */
function file(what, packages, parts) {
  return { what, there: existsSync(what), packages, parts };
}

/** Guests have no libraries. A program that needs some names its loader. */
function hasStaticBusybox() {
  const path = findProgram('busybox');
  return path !== undefined && !readFileSync(path).includes('/ld-linux');
}

function libvirtDriver() {
  const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
  const there = folders.some((folder) => existsSync(`${folder}/libvirt/connection-driver/libvirt_driver_qemu.so`));
  return { what: "libvirt's QEMU driver", there };
}

function guestKernel() {
  const what = 'a kernel for guests in /boot';
  const found = kernelsOf('/boot', '/lib/modules');
  if (found.some(({ readable, hasModules }) => readable && hasModules)) return { what, there: true };
  const mend = mendOfKernels(found);
  return { what, there: false, ...(mend === null ? {} : { mend }) };
}

/**
 * A kernel of this machine, and whether this user's guest could boot it.
 * @typedef {{ image: string, readable: boolean, hasModules: boolean }} FoundKernel
 */

/**
 * What helps where there are kernels and none is of use: never one more, which might be the one that the machine boots next. Null: there
 * is none, so one may be installed.
 * @param {readonly FoundKernel[]} found
 * @returns {string | null}
 */
export function mendOfKernels(found) {
  const locked = found.find(({ readable, hasModules }) => !readable && hasModules);
  if (locked) return `${locked.image} is there, but only root may read it: sudo chmod a+r ${locked.image}`;
  const bare = found[0];
  return bare ? `${bare.image} is there, but its modules are not in /lib/modules: install its package again` : null;
}

/**
 * @param {string} boot
 * @param {string} modules
 * @returns {FoundKernel[]}
 */
function kernelsOf(boot, modules) {
  try {
    return readdirSync(boot)
      .filter((name) => name.startsWith('vmlinuz-'))
      .map((name) => ({
        image: join(boot, name),
        readable: isReadable(join(boot, name)),
        hasModules: existsSync(join(modules, name.slice('vmlinuz-'.length), 'modules.dep')),
      }));
  } catch {
    return [];
  }
}

/** @param {string} path */
function isReadable(path) {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
