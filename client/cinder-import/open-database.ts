import { readFile } from 'node:fs/promises';
import { FerryError } from '../../model/errors.ts';

/** A database of Cinder's, as it was at one moment; nothing is written to it. */
export interface CinderDatabase {
  rows(statement: string): Promise<unknown[]>;
  /** SQL for the seconds since the time in a column, in which Cinder writes UTC without saying so. */
  readonly secondsSince: (column: string) => string;
  close(): Promise<void>;
}

const secondsToConnect = 15;

/**
 * Opens the database that Cinder's `[database] connection` names: PostgreSQL, or MySQL and MariaDB; a driver of Python's in it
 * (`mysql+pymysql:`) is of no matter. `InvalidInput` for another URL, `ServiceUnreachable` if it cannot be reached or lets us not in.
 */
export async function openCinderDatabase(text: string): Promise<CinderDatabase> {
  const url = URL.parse(text.replace(/^(\w+)\+\w+:/, '$1:'));
  const kind = url?.protocol.slice(0, -1);
  if (url && (kind === 'postgresql' || kind === 'postgres')) return reachable(url, () => openPostgres(url));
  if (url && (kind === 'mysql' || kind === 'mariadb')) return reachable(url, () => openMySql(url));
  throw new FerryError(
    'InvalidInput',
    "database: is not the URL of a PostgreSQL, MySQL or MariaDB database, as in Cinder's [database] connection (mysql+pymysql://user:password@host/cinder)",
    { fields: ['database'] },
  );
}

async function reachable(url: URL, open: () => Promise<CinderDatabase>): Promise<CinderDatabase> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof FerryError) throw error;
    const why = error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : '';
    throw new FerryError(
      'ServiceUnreachable',
      `Cinder's database on ${url.host || 'this machine'}: ${why}.`,
      {},
      { cause: error },
    );
  }
}

async function openPostgres(url: URL): Promise<CinderDatabase> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({
    connectionString: url.href.replace(/^postgres:/, 'postgresql:'),
    application_name: 'ferry import cinder',
    connectionTimeoutMillis: secondsToConnect * 1000,
  });
  // What ends the connection is told by the statement that waits for it.
  client.on('error', () => {});
  await client.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  return {
    rows: async (statement) => (await client.query<object>(statement)).rows,
    secondsSince: (column) => `extract(epoch FROM (now() AT TIME ZONE 'utc') - ${column})`,
    close: () => client.end(),
  };
}

async function openMySql(url: URL): Promise<CinderDatabase> {
  const { createConnection } = await import('mysql2/promise');
  const [socketPath, ca] = [url.searchParams.get('unix_socket'), url.searchParams.get('ssl_ca')];
  const connection = await createConnection({
    ...(socketPath === null ? { host: url.hostname, port: Number(url.port || 3306) } : { socketPath }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ...(ca === null ? {} : { ssl: { ca: await readFile(ca, 'utf8') } }),
    charset: 'utf8mb4',
    connectTimeout: secondsToConnect * 1000,
  });
  connection.on('error', () => {});
  await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
  return {
    async rows(statement) {
      const [rows] = await connection.query(statement);
      return Array.isArray(rows) ? rows : [];
    },
    secondsSince: (column) => `timestampdiff(SECOND, ${column}, utc_timestamp())`,
    close: () => connection.end(),
  };
}
