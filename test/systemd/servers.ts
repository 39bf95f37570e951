import { cp, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { findTemporal } from '../../setup/find-temporal.mjs';
import { must } from '../../setup/story-checks.ts';
import type { Machine } from './machine.ts';

/** The database's owner, who makes and changes the registry's schema. */
export const ownerUrl =
  'postgres://ferry:owner@control:5432/ferry?sslmode=verify-full&sslrootcert=/etc/pki/ferry/ca-cert.pem';

/** The same for a login of a part of Ferry. */
export const databaseUrlOf = (login: string) => ownerUrl.replace('ferry:owner', `${login}:secret`);

/** Debian's Postgres, which takes nobody in without TLS. */
export async function startPostgres(machine: Machine): Promise<void> {
  await must(machine.run(['apt-get', 'install', '-q', 'postgresql'], noQuestions));
  const [cluster = ''] = (await must(machine.run(['ls', '/etc/postgresql']))).split('\n');
  const etc = `/etc/postgresql/${cluster}/main`;
  const [cert, key] = await Promise.all(
    ['cert', 'key'].map((part) => readFile(machine.file(`/etc/pki/ferry/server-${part}.pem`), 'utf8')),
  );
  await machine.write(`${etc}/server-cert.pem`, cert ?? '');
  await machine.write(`${etc}/server-key.pem`, key ?? '', 0o600);
  await must(machine.run(['chown', 'postgres:', `${etc}/server-cert.pem`, `${etc}/server-key.pem`]));
  await machine.write(
    `${etc}/conf.d/tls.conf`,
    `listen_addresses = '*'\nssl_cert_file = '${etc}/server-cert.pem'\nssl_key_file = '${etc}/server-key.pem'\n`,
  );
  await machine.write(
    `${etc}/pg_hba.conf`,
    'local all postgres peer\nhostssl all all all scram-sha-256\nhostnossl all all all reject\n',
  );
  await must(machine.run(['chown', 'postgres:', `${etc}/pg_hba.conf`]));
  await must(machine.run(['systemctl', 'restart', 'postgresql']));
}

/** Runs SQL as the administrator of Postgres, in `postgres` or a database of its. */
export function sql(machine: Machine, statements: readonly string[], database = 'postgres'): Promise<string> {
  const each = statements.flatMap((statement) => ['--command', statement]);
  return must(
    machine.run(['runuser', '-u', 'postgres', '--', 'psql', '-qAt', '-d', database, '-v', 'ON_ERROR_STOP=1', ...each]),
  );
}

/** Temporal's development server. It has no TLS of its own: that, and the certificates of clients, are HAProxy's. */
export async function startTemporal(machine: Machine): Promise<void> {
  const program = findTemporal();
  if (program === undefined) throw new Error('There is no Temporal CLI here: setup should have fetched it.');
  const there = machine.file('/usr/local/bin/temporal');
  await mkdir(dirname(there), { recursive: true });
  await cp(program, there, { dereference: true });
  const options = [
    ...['--disable-config-file', '--disable-config-env', '--ip 127.0.0.1', '--port 7234', '--headless'],
    ...['--db-filename /var/lib/temporal/temporal.db', '--log-level warn'],
    // See workers/embedded/temporal.ts.
    '--dynamic-config-value history.transferProcessorMaxPollRPS=1000',
  ];
  await machine.write(
    '/etc/systemd/system/temporal.service',
    `[Service]
ExecStart=/usr/local/bin/temporal server start-dev ${options.join(' ')}
StateDirectory=temporal
Restart=always
[Install]
WantedBy=multi-user.target
`,
  );
  await must(machine.run(['systemctl', 'enable', '--now', 'temporal']));
  await must(machine.run(['apt-get', 'install', '-q', 'haproxy'], noQuestions));
  const pems = ['cert', 'key'].map((part) => readFile(machine.file(`/etc/pki/ferry/server-${part}.pem`), 'utf8'));
  await machine.write('/etc/haproxy/temporal.pem', (await Promise.all(pems)).join(''), 0o600);
  await machine.write(
    '/etc/haproxy/haproxy.cfg',
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen temporal
  bind ${machine.address}:7233 ssl crt /etc/haproxy/temporal.pem alpn h2 verify required ca-file /etc/pki/ferry/ca-cert.pem
  server temporal 127.0.0.1:7234
`,
  );
  await must(machine.run(['systemctl', 'restart', 'haproxy']));
}

export const noQuestions = { env: { DEBIAN_FRONTEND: 'noninteractive' } };
