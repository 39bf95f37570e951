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
  const kind = url?.protocol.slice(0, -1) ?? '';
  // Nothing of it is repeated: where it is wrong, a password may be anywhere in it.
  if (!url || !kinds.has(kind) || url.hash !== '' || url.username === '' || url.pathname.length < 2 || !decodes(url))
    throw notUsable(
      "is not the URL of a PostgreSQL, MySQL or MariaDB database, as in Cinder's [database] connection: " +
        'mysql+pymysql://user:password@host/cinder. Signs of a password that mean something in a URL (/ # ? % @ :) are written as %2F, %23, …',
    );
  return reachable(url, () => (kind.startsWith('postgres') ? openPostgres(url) : openMySql(url)));
}

const kinds: ReadonlySet<string> = new Set(['postgresql', 'postgres', 'mysql', 'mariadb']);

function notUsable(why: string): FerryError {
  return new FerryError('InvalidInput', `database: ${why}`, { fields: ['database'] });
}

function decodes({ username, password, pathname }: URL): boolean {
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
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

/** Of PyMySQL and mysqlclient. */
const tlsOptions: ReadonlySet<string> = new Set(['ssl_ca', 'ssl_cert', 'ssl_key']);

async function openMySql(url: URL): Promise<CinderDatabase> {
  const { createConnection } = await import('mysql2/promise');
  const option = (name: string) => url.searchParams.get(name);
  const [socketPath, ca, cert, key] = [option('unix_socket'), option('ssl_ca'), option('ssl_cert'), option('ssl_key')];
  const unknown = [...url.searchParams.keys()].filter((each) => each.startsWith('ssl') && !tlsOptions.has(each));
  // To leave one out might mean a connection in the clear.
  if (unknown.length > 0) throw notUsable(`has options that are not known here: ${unknown.join(', ')}`);
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const ssl = Object.fromEntries(
    await Promise.all(Object.entries(files).map(async ([name, file]) => [name, await readFile(file, 'utf8')])),
  ) as Record<string, string>;
  const connection = await createConnection({
    ...(socketPath === null
      ? { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 3306) }
      : { socketPath }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ...(Object.keys(ssl).length === 0 ? {} : { ssl }),
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
