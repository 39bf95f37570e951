import { check, comes, must, said } from '../../setup/story-checks.ts';
import type { Site } from './site.ts';
import { mainPid } from './units.ts';

/** Who comes without TLS, or without a certificate that is a client's, is let in nowhere. */
export async function refusesStrangers(site: Site): Promise<void> {
  said('nobody comes in without TLS');
  const { control } = site;
  const plain = 'postgres://control:secret@control:5432/ferry?sslmode=disable';
  const postgres = await control.run(['ferry', 'list'], { env: { FERRY_DATABASE_URL: plain } });
  check('Postgres takes nobody without it', postgres.exitCode !== 0 && /pg_hba/.test(postgres.output), postgres.output);

  // The CLI asks Temporal for what it starts; a server's certificate is no client's.
  const asServer = {
    TEMPORAL_TLS_CLIENT_CERT_PATH: '/etc/pki/ferry/server-cert.pem',
    TEMPORAL_TLS_CLIENT_KEY_PATH: '/etc/pki/ferry/server-key.pem',
  };
  const temporal = await control.run(['ferry', 'repair', '--dry-run'], { env: asServer });
  const refused = temporal.exitCode !== 0 && /Temporal at control:7233 cannot be reached/.test(temporal.output);
  check("Temporal takes nobody without a client's certificate", refused, temporal.output);

  // One that nobody has connected to: it takes one client at a time.
  const { id } = await site.asked<{ id: string }>('create', '--size', '64MiB', '--host', 'server1@files');
  const { connection } = await site.asked<Attached>('attach', id, 'guest', 'server2');
  const url = `nbd://${connection.host}:${connection.port}/${connection.exportName}`;
  const without = await site.server2.run(['timeout', '30', 'qemu-img', 'info', url]);
  check('an export takes nobody without it', without.exitCode === 1 && /TLS/.test(without.output), without.output);
  const tls = 'tls-creds-x509,id=tls,endpoint=client,dir=/etc/pki/ferry';
  const { host, port, exportName } = connection;
  const image = `driver=nbd,host=${host},port=${port},export=${exportName},tls-creds=tls`;
  const client = ['timeout', '30', 'qemu-img', 'info', '--object', tls, '--image-opts', image];
  const withIt = await site.server2.run(client);
  check('and the machine that it is for, with its certificate', withIt.exitCode === 0, withIt.output);
  const another = await site.server1.run(client);
  check('and no other machine with one', another.exitCode === 1, another.output);
  await must(site.ferry('detach', id));
  await must(site.ferry('delete', id));
}

interface Attached {
  readonly connection: { readonly host: string; readonly port: number; readonly exportName: string };
}

/** A worker that hangs is ended by its watchdog, and started again. */
export async function hangs({ server2: machine }: Site): Promise<void> {
  said('a worker hangs');
  const unit = 'ferry-storage';
  const patience = '/etc/systemd/system/ferry-storage.service.d/patience.conf';
  await machine.write(patience, '[Service]\nWatchdogSec=9\n');
  await must(machine.run(['systemctl', 'daemon-reload']));
  await must(machine.run(['systemctl', 'restart', unit]));
  const before = await mainPid(machine, unit);
  await must(machine.run(['kill', '-STOP', String(before)]));
  const back = async () => {
    const after = await mainPid(machine, unit);
    return after !== 0 && after !== before && (await machine.run(['systemctl', 'is-active', unit])).stdout === 'active';
  };
  check('its watchdog ends it, and systemd starts it again', await comes(back, 120));
  await must(machine.run(['rm', patience]));
  await must(machine.run(['systemctl', 'daemon-reload']));
  await must(machine.run(['systemctl', 'restart', unit]));
}
