import { check, comes, must, said } from '../../setup/story-checks.ts';
import { documented } from './documented.ts';
import { releasesFolder } from './base-system.ts';
import type { Machine } from './machine.ts';
import { databaseUrlOf, noQuestions, ownerUrl, sql, startPostgres, startTemporal } from './servers.ts';
import { hosts, type Site } from './site.ts';

/** How Temporal is reached by everybody: with a certificate. */
const temporalSettings = `TEMPORAL_ADDRESS=control:7233
TEMPORAL_TLS=true
TEMPORAL_TLS_SERVER_CA_CERT_PATH=/etc/pki/ferry/ca-cert.pem
TEMPORAL_TLS_CLIENT_CERT_PATH=/etc/pki/ferry/client-cert.pem
TEMPORAL_TLS_CLIENT_KEY_PATH=/etc/pki/ferry/client-key.pem
`;

export type Role = 'control' | 'storage' | 'compute';

/** A command of docs/installing.md, in the folder of a release. */
export function inRelease(machine: Machine, version: string, command: string): Promise<string> {
  return must(machine.run(documented(command), { cwd: `${releasesFolder}/${version}`, ...noQuestions }));
}

/** Installs a role's packages, and says what the machine is. */
async function install(machine: Machine, role: Role, configuration: object): Promise<void> {
  await inRelease(machine, '0.1.0', 'sha256sum --check --ignore-missing SHA256SUMS');
  await inRelease(machine, '0.1.0', `apt-get install ./ferry-common_0.1.0_amd64.deb ./ferry-${role}_0.1.0_amd64.deb`);
  const unit = await machine.run(['systemctl', 'is-active', `ferry-${role}`]);
  check(`${machine.name}: nothing starts before it is configured`, unit.output === 'inactive', unit.output);
  // Over the files that the packages have put there, whose rights stay.
  const put = async (path: string, text: string) =>
    must(machine.run(['sh', '-c', 'printf %s "$2" >"$1"', 'put', path, text]));
  await put('/etc/ferry/ferry.json', JSON.stringify(configuration, null, 2));
  await put('/etc/ferry/ferry.env', temporalSettings);
  await machine.write('/etc/ferry/database-url', `${databaseUrlOf(machine.name)}\n`, 0o600);
}

/** A worker's unit is enabled and has come up. */
async function starts(machine: Machine, role: Role): Promise<void> {
  const doctor = await machine.run(documented('ferry doctor'));
  check(`${machine.name}: the doctor finds nothing in the way`, doctor.exitCode === 0, doctor.output);
  const started = await machine.run(['timeout', '120', ...documented(`systemctl enable --now ferry-${role}`)]);
  const log = (await machine.run(['journalctl', '--unit', `ferry-${role}`, '--no-pager', '--lines=40'])).output;
  check(`${machine.name}: its ${role} worker is up`, started.exitCode === 0, `${started.output}\n${log}`);
}

const storage = (node: 'server1' | 'server2') => ({
  node: {
    name: node,
    address: hosts[node],
    tls: { directory: '/etc/pki/ferry' },
    backEnds: [{ name: 'files', driver: 'directory', path: '/srv/volumes' }],
  },
});

/** Postgres, Temporal and a control worker. */
export async function installControl(site: Site): Promise<void> {
  const { control } = site;
  said('Postgres and Temporal, with TLS');
  await startPostgres(control);
  await startTemporal(control);
  await sql(control, ["CREATE ROLE ferry LOGIN CREATEROLE PASSWORD 'owner'", 'CREATE DATABASE ferry OWNER ferry']);
  said('a control worker');
  await install(control, 'control', {});
  await must(control.run(documented(keyFor('ferry'))));
  await control.write('/root/owner-url', `${ownerUrl}\n`, 0o600);
  for (const command of ['migrate', 'roles'])
    await must(control.run(documented(`FERRY_DATABASE_URL_FILE=/root/owner-url ferry db ${command}`)));
  await sql(control, [
    "CREATE ROLE control LOGIN PASSWORD 'secret' IN ROLE ferry_control",
    ...['server1', 'server2'].map((name) => `CREATE ROLE ${name} LOGIN PASSWORD 'secret' IN ROLE ferry_storage`),
    "CREATE ROLE hv1 LOGIN PASSWORD 'secret' IN ROLE ferry_compute",
  ]);
  await starts(control, 'control');
  const unit = ['systemctl', 'show', '--property=MainPID', '--value', 'ferry-control'];
  const main = (await must(control.run(unit))).trim();
  const user = (await must(control.run(['ps', '-o', 'user=', '-p', main]))).trim();
  check('the control worker is not root', user === 'ferry', user);
  const listed = await site.ferry('host', 'list');
  check('the CLI works there', listed.exitCode === 0, listed.output);
}

/** Storage nodes, whose volumes are files. */
export async function installStorage(site: Site): Promise<void> {
  said('two storage nodes');
  for (const node of ['server1', 'server2'] as const) {
    const machine = site[node];
    await install(machine, 'storage', storage(node));
    await must(machine.run(['mkdir', '-p', '/srv/volumes']));
    await machine.write(
      '/etc/systemd/system/ferry-storage.service.d/volumes.conf',
      '[Service]\nReadWritePaths=/srv/volumes\n',
    );
    await must(machine.run(['systemctl', 'daemon-reload']));
    await starts(machine, 'storage');
  }
  const up = async () => {
    const backEnds = await site.asked<{ state: string }[]>('host', 'list', '--long');
    return backEnds.filter(({ state }) => state === 'up').length === 2;
  };
  check('both back ends are up', await comes(up), (await site.ferry('host', 'list', '--long')).output);
}

/** A hypervisor: Debian's libvirt, whose guests reach exports with a certificate. */
export async function installCompute({ hv1 }: Site): Promise<void> {
  said('a hypervisor');
  await must(hv1.run(['apt-get', 'install', '-q', 'libvirt-daemon-system', 'qemu-system-x86'], noQuestions));
  await must(hv1.run(['sh', '-c', 'printf %s "$1" >>/etc/libvirt/qemu.conf', 'put', tlsOfGuests]));
  await must(hv1.run(documented(`${keyFor('libvirt-qemu')} && systemctl restart libvirtd`)));
  await install(hv1, 'compute', { compute: { name: 'hv1' } });
  await starts(hv1, 'compute');
}

const tlsOfGuests = `
nbd_tls = 1
nbd_tls_x509_cert_dir = "/etc/pki/ferry"
`;

/** As the pages say it. */
function keyFor(group: string): string {
  return `chgrp ${group} /etc/pki/ferry/client-key.pem && chmod 640 /etc/pki/ferry/client-key.pem`;
}
