import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDebian, type Suite } from '../../setup/bare/bare-system.ts';
import { inRoot, installPackages } from '../../setup/bare/in-root.ts';

/** What a machine must have to be one: its init, and what its commands look with. */
export const ofEveryMachine = ['systemd', 'systemd-sysv', 'dbus', 'iproute2', 'procps'];

/** Beside Ferry's packages: what they recommend to have, and the servers that a control machine has here. */
const others = [
  ...['libvirt-daemon-system', 'qemu-system-x86', 'lvm2', 'thin-provisioning-tools'],
  ...['postgresql', 'haproxy'],
];

/** Where machines find releases, as their operator has copied them there. */
export const releasesFolder = '/root';

/**
 * A bare Debian that the machines have in common, in a folder: with systemd, and the releases, by their versions. Of all that will be installed there
 * the packages are fetched and none is unpacked: machines have no network but their own, and apt finds them in its cache.
 */
export async function makeBaseSystem(
  suite: Suite,
  folder: string,
  releases: Readonly<Record<string, string>>,
): Promise<void> {
  await makeDebian(suite, folder);
  const settings = ['Get::Assume-Yes "true"', 'Install-Recommends "false"', 'Keep-Downloaded-Packages "true"'];
  const lines = settings.map((setting) => `APT::${setting};\nBinary::apt-get::APT::${setting};\n`);
  await writeFile(join(folder, 'etc/apt/apt.conf.d/90machines'), lines.join(''));
  const roles: string[] = [];
  for (const [version, release] of Object.entries(releases)) {
    await cp(release, join(folder, releasesFolder, version), { recursive: true });
    const made = (await readdir(release)).filter((name) => name.endsWith('.deb'));
    if (!roles.length) roles.push(...made.map((name) => join(releasesFolder, version, name)));
  }
  await inRoot(folder, ['apt-get', 'update', '-q']);
  await installPackages(folder, ofEveryMachine);
  await installPackages(folder, [...roles, ...others], ['--download-only']);

  // What is installed from now on is on a machine of its own, whose services are started.
  await rm(join(folder, 'usr/sbin/policy-rc.d'));
  // Each machine gives itself a number when it first boots.
  await writeFile(join(folder, 'etc/machine-id'), '');
  await mkdir(join(folder, 'etc/systemd/system'), { recursive: true });
  // There is no console to log in at.
  await symlink('/dev/null', join(folder, 'etc/systemd/system/console-getty.service'));
}
