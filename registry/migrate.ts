import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { FerryError } from '../model/errors.ts';
import { grantRights } from './database-roles.ts';
import { inTransaction } from './in-transaction.ts';
import { lockSchema } from './schema-lock.ts';

const folder = new URL('./sql/', import.meta.url);

/** The numbered files of a folder, in order. */
async function migrationFiles(from: URL): Promise<{ version: number; url: URL }[]> {
  const names = (await readdir(from)).filter((name) => /^\d{6}\.sql$/.test(name)).toSorted();
  return names.map((name) => ({ version: Number(name.slice(0, 6)), url: new URL(name, from) }));
}

/** The newest schema that this code has. */
export async function knownVersion(): Promise<number> {
  return (await migrationFiles(folder)).at(-1)?.version ?? 0;
}

/**
 * Brings the database's schema up to what this code knows: each numbered file once, in order, each in a transaction of its own.
 * May be run by many at once. Throws `InvalidInput` when the database is newer than the code: an older Ferry must not write to it; and when
 * our role may not change it.
 */
export async function migrate(pool: pg.Pool, from: URL = folder): Promise<void> {
  const files = await migrationFiles(from);
  const known = files.at(-1)?.version ?? 0;
  const before = await appliedVersion(pool, known);
  if (before === known) return;
  try {
    for (const file of files) {
      const statements = await readFile(file.url, 'utf8');
      await inTransaction(pool, 'BEGIN', (client) => apply(client, file.version, statements));
    }
    if (from === folder) await inTransaction(pool, 'BEGIN', grantRights);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    throw behind(before, known, `, and this role may not change it (${error.message})`);
  }
  await appliedVersion(pool, known);
}

/** Postgres says so of a statement that our role may not run. */
function isForbidden(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === '42501';
}

/** The newest file that was applied; 0 in an empty database. Only looks. */
export async function schemaVersion(database: Pick<pg.Pool | pg.Client, 'query'>): Promise<number> {
  const table = await database.query<{ there: boolean }>(`SELECT to_regclass('schema_versions') IS NOT NULL AS there`);
  if (!table.rows[0]?.there) return 0;
  const { rows } = await database.query<{ version: number }>(
    'SELECT coalesce(max(version), 0) AS version FROM schema_versions',
  );
  return rows[0]?.version ?? 0;
}

/** Throws `InvalidInput` unless the database has just the schema that this code knows. Changes nothing. */
export async function requireSchema(pool: pg.Pool): Promise<void> {
  const known = await knownVersion();
  const version = await appliedVersion(pool, known);
  if (version !== known) throw behind(version, known);
}

function behind(version: number, known: number, why = ''): FerryError {
  const what = version === 0 ? 'The database holds no registry' : `The registry has schema ${version}, not ${known}`;
  return new FerryError('InvalidInput', `${what}${why}. An administrator brings it up to date: ferry db migrate`, {
    version,
    known,
  });
}

/** The same; throws when it is newer than what this code knows. */
async function appliedVersion(pool: pg.Pool, known: number): Promise<number> {
  const version = await schemaVersion(pool);
  if (version > known) {
    throw new FerryError(
      'InvalidInput',
      `The database has schema ${version}, but this Ferry knows only ${known}. Upgrade Ferry, or name another databaseUrl.`,
      { version, known },
    );
  }
  return version;
}

/** One file, within a transaction. Its row goes in first: whoever comes second finds it and leaves the file alone. */
async function apply(client: pg.PoolClient, version: number, statements: string): Promise<void> {
  // Creating the table is no safer against others than creating any other: the lock comes before everything.
  await lockSchema(client);
  await client.query(
    'CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
  );
  const mine = await client.query('INSERT INTO schema_versions (version) VALUES ($1) ON CONFLICT DO NOTHING', [
    version,
  ]);
  if (mine.rowCount === 1) await client.query(statements);
}
