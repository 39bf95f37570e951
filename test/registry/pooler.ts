import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { freePorts } from '../../workers/embedded/free-ports.ts';
import { ServerProcess } from '../../workers/embedded/server-process.ts';

const nobody = 65_534;

/** Where the database at `databaseUrl` is reached through a PgBouncer in transaction mode; `settings` are lines of its own. */
export async function startPooler(
  databaseUrl: string,
  settings: readonly string[] = [],
): Promise<{ url: string; stop: () => Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'ferry-pooler-'));
  const [port] = await freePorts(1);
  const { username, password, port: serverPort, pathname } = new URL(databaseUrl);
  const [configuration, users] = [path.join(directory, 'pooler.ini'), path.join(directory, 'users')];
  await writeFile(users, `"${username}" "${password}"\n`, { mode: 0o600 });
  await writeFile(
    configuration,
    [
      '[databases]',
      `* = host=127.0.0.1 port=${serverPort}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${users}`,
      'pool_mode = transaction',
      'default_pool_size = 2',
      ...settings,
    ].join('\n'),
  );
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const file of [directory, users, configuration]) await chown(file, nobody, nobody);
  const server = new ServerProcess({
    name: 'PgBouncer',
    command: ['pgbouncer', configuration],
    within: isRoot
      ? ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--inh-caps=-all', '--']
      : [],
    stopSignal: 'SIGINT',
    logFile: path.join(directory, 'pooler.log'),
  });
  const url = `postgres://${username}:${password}@127.0.0.1:${port}${pathname}`;
  await server.start(async () => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    await client.end();
  });
  return {
    url,
    async stop() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
