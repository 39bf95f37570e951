import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DaemonSettings {
  readonly folder: string;
  /** `system`: as root, may open block devices. `session`: as an ordinary user. */
  readonly mode: 'system' | 'session';
  /** Folder with ca-cert.pem, client-cert.pem and client-key.pem for NBD disks over TLS. */
  readonly tlsFolder: string | null;
}

/** The folder in which libvirtd puts its socket. */
export function socketFolder(settings: DaemonSettings): string {
  return join(settings.folder, 'sock');
}

/** Writes the configuration of a libvirtd that needs nothing of its host: no cgroups, security labels or other daemons. */
export async function writeDaemonFiles(settings: DaemonSettings): Promise<void> {
  const { folder, mode } = settings;
  const etc = mode === 'system' ? join(folder, 'etc') : join(folder, 'etc/libvirt');
  for (const name of [etc, join(folder, 'sock'), join(folder, 'run'), join(folder, 'cache'), join(folder, 'lib')]) {
    await mkdir(name, { recursive: true, mode: 0o700 });
  }
  const quote = (text: string) => JSON.stringify(text);
  const daemon = [
    `unix_sock_dir = ${quote(socketFolder(settings))}`,
    'unix_sock_rw_perms = "0700"',
    'auth_unix_ro = "none"',
    'auth_unix_rw = "none"',
    // The machine's own would be that of every other one here: guests do not migrate from a host to itself.
    `host_uuid = ${quote(randomUUID())}`,
    'log_level = 3',
    `log_outputs = ${quote(`3:file:${join(folder, 'libvirtd.log')}`)}`,
    ...(mode === 'system' ? ['unix_sock_group = "root"'] : []),
  ];
  const qemu = [
    'security_driver = "none"',
    'stdio_handler = "file"',
    ...(settings.tlsFolder ? ['nbd_tls = 1', `nbd_tls_x509_cert_dir = ${quote(settings.tlsFolder)}`] : []),
    ...(mode === 'system'
      ? [
          'user = "root"',
          'group = "root"',
          'dynamic_ownership = 0',
          'remember_owner = 0',
          'cgroup_controllers = [ ]',
          'namespaces = [ ]',
        ]
      : []),
  ];
  await writeFile(join(etc, 'libvirtd.conf'), `${daemon.join('\n')}\n`);
  await writeFile(join(etc, 'qemu.conf'), `${qemu.join('\n')}\n`);
}
