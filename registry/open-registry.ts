import pg from 'pg';
import type * as z from 'zod';
import { inTransaction } from './in-transaction.ts';
import { migrate, requireSchema } from './migrate.ts';
import { databaseAddress, reachable } from './reachable.ts';
import { parseRow } from './rows.ts';

/** What a statement needs: the registry itself, or a transaction in it. */
export interface Queries {
  /**
   * Runs one statement. Each row is parsed with `row`, its columns' names in camel case.
   * `ServiceUnreachable` when Postgres does not answer: then it is not known whether the statement was done.
   */
  rows<T>(row: z.ZodType<T>, statement: string, values?: readonly unknown[]): Promise<T[]>;
}

/** The registry: a pool of connections to Postgres. All that is known is in the database; nothing is kept here. */
export interface Registry extends Queries {
  /** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
  transaction<T>(work: (queries: Queries) => Promise<T>, kind?: 'read committed' | 'snapshot'): Promise<T>;
  close(): Promise<void>;
}

/** A statement that takes longer than this waits for a lock that nobody gives back: better to fail and try again. */
const statementTimeoutMs = 15_000;

const int8 = 20;

/** Sizes in bytes are far below 2^53: plain numbers, where pg would give strings. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/**
 * Opens the registry at a Postgres URL. Workers bring its schema up to date; for who only asks (`migrates: false`) it must be, so that a look
 * changes nothing. `ServiceUnreachable` when Postgres cannot be reached, `InvalidInput` when the database belongs to a newer Ferry, or, for
 * who only asks, to an older one. `onError` hears of idle connections that break; they are replaced.
 */
export async function openRegistry(
  databaseUrl: string,
  options: { maxConnections?: number; migrates?: boolean; onError?: (error: Error) => void } = {},
): Promise<Registry> {
  const address = databaseAddress(databaseUrl);
  const { pool, limits } = await reachable(address, () => connect(databaseUrl, options));

  const parsedRows = async <T>(row: z.ZodType<T>, asked: () => Promise<pg.QueryResult>): Promise<T[]> => {
    const result = await reachable(address, asked);
    return result.rows.map((r: Record<string, unknown>) => parseRow(row, r));
  };
  const queriesOn = (client: pg.PoolClient): Queries => ({
    rows: (row, statement, values = []) => parsedRows(row, () => client.query(statement, [...values])),
  });

  const begin = {
    'read committed': `BEGIN${limits}`,
    snapshot: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY${limits}`,
  };
  const alone = (statement: string, values: readonly unknown[]): Promise<pg.QueryResult> =>
    limits === ''
      ? pool.query(statement, [...values])
      : inTransaction(pool, begin['read committed'], (client) => client.query(statement, [...values]));

  try {
    await reachable(address, () => (options.migrates === false ? requireSchema(pool) : migrate(pool)));
  } catch (error) {
    await pool.end();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    rows: (row, statement, values = []) => parsedRows(row, () => alone(statement, values)),
    transaction: (work, kind = 'read committed') =>
      reachable(address, () => inTransaction(pool, begin[kind], (client) => work(queriesOn(client)))),
    close: () => (closing ??= pool.end()),
  };
}

const sessionLimits = {
  statement_timeout: statementTimeoutMs,
  idle_in_transaction_session_timeout: statementTimeoutMs,
};

/** The same limits for one transaction; to be sent with its BEGIN. */
const transactionLimits = Object.entries(sessionLimits)
  .map(([name, ms]) => `; SET LOCAL ${name} = ${ms}`)
  .join('');

/**
 * A pool of connections whose statements are bounded in time, and what must go with each BEGIN for that: nothing, where a session can be
 * told once and for all. A pooler between us and Postgres (PgBouncer in transaction mode) either refuses to be told
 * so or ignores it, and hands each transaction to another session: there each transaction is told.
 */
async function connect(
  databaseUrl: string,
  options: { maxConnections?: number; onError?: (error: Error) => void },
): Promise<{ pool: pg.Pool; limits: string }> {
  const bounded = createPool(databaseUrl, options, sessionLimits);
  try {
    const { rows } = await bounded.query<{ own: boolean }>(
      `SELECT setting = $1 AS own FROM pg_settings WHERE name = 'statement_timeout'`,
      [String(statementTimeoutMs)],
    );
    return { pool: bounded, limits: rows[0]?.own === true ? '' : transactionLimits };
  } catch (error) {
    await bounded.end();
    if (!(error instanceof Error) || !/unsupported startup parameter/i.test(error.message)) throw error;
    return { pool: createPool(databaseUrl, options, {}), limits: transactionLimits };
  }
}

function createPool(
  databaseUrl: string,
  { maxConnections = 10, onError }: { maxConnections?: number; onError?: (error: Error) => void },
  limits: Partial<typeof sessionLimits>,
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: maxConnections,
    types,
    application_name: 'ferry',
    connectionTimeoutMillis: 5_000,
    ...limits,
    // Longer than the server's own limit: only for a network that swallows the answer.
    query_timeout: statementTimeoutMs + 5_000,
    keepAlive: true,
  });
  // Without a listener, an idle connection that breaks would end the process.
  pool.on('error', (error) => onError?.(error));
  return pool;
}
