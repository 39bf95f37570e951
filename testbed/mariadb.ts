import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { createConnection } from 'mysql2/promise';
import { freePorts } from '../workers/embedded/free-ports.ts';
import { ServerProcess } from '../workers/embedded/server-process.ts';

/** A real MariaDB on the loopback, with an empty database `cinder` and its user, who needs the password. */
export interface MariaDb {
  readonly host: string;
  readonly port: number;
  /** `user:password`. */
  readonly login: string;
  stop(): Promise<void>;
}

/** Where Debian's mariadb-server-core has what a data folder begins with. */
const systemTables = ['mysql_system_tables.sql', 'mysql_system_tables_data.sql'].map(
  (name) => `/usr/share/mysql/${name}`,
);

/** Starts one, with its data in `folder`, in about two seconds. It ends with this process. */
export async function startMariaDb(folder: string): Promise<MariaDb> {
  const data = join(folder, 'mariadb');
  await mkdir(data, { recursive: true });
  // Without plugins that Debian's configuration names; root may not run it as itself unless that is said.
  const common = ['--no-defaults', `--datadir=${data}`, ...(process.getuid?.() === 0 ? ['--user=root'] : [])];
  const [user, password] = ['cinder', 'password-cinder'];
  const first = [
    'CREATE DATABASE mysql;',
    'USE mysql;',
    ...(await Promise.all(systemTables.map((file) => readFile(file, 'utf8')))),
  ];
  const then = [
    'CREATE DATABASE cinder CHARACTER SET utf8mb4;',
    'FLUSH PRIVILEGES;',
    `CREATE USER ${user}@'127.0.0.1' IDENTIFIED BY '${password}';`,
    `GRANT ALL ON cinder.* TO ${user}@'127.0.0.1';`,
  ];
  // What it says is in the error, should it fail.
  await execa('mariadbd', [...common, '--bootstrap', '--innodb-log-file-size=8M'], {
    input: [...first, ...then, ''].join('\n'),
  });
  const [port = 0] = await freePorts(1);
  const host = '127.0.0.1';
  const server = new ServerProcess({
    name: 'MariaDB',
    command: [
      'mariadbd',
      ...common,
      ...[`--bind-address=${host}`, `--port=${port}`, `--socket=${join(folder, 'mariadb.sock')}`],
      ...[`--pid-file=${join(folder, 'mariadb.pid')}`, '--innodb-log-file-size=8M'],
    ],
    stopSignal: 'SIGTERM',
    logFile: join(folder, 'mariadb.log'),
  });
  await server.start(async () => {
    const connection = await createConnection({ host, port, user, password, database: 'cinder' });
    await connection.end();
  });
  return { host, port, login: `${user}:${password}`, stop: () => server.stop() };
}
