import pg from 'pg';
import type * as z from 'zod';
import { inTransaction } from './in-transaction.ts';
import { migrate } from './migrate.ts';
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
 * Opens the registry at a Postgres URL and brings its schema up to date. `ServiceUnreachable` when Postgres cannot be reached,
 * `InvalidInput` when the database belongs to a newer Ferry. `onError` hears of idle connections that break; they are replaced.
 */
export async function openRegistry(
  databaseUrl: string,
  options: { maxConnections?: number; onError?: (error: Error) => void } = {},
): Promise<Registry> {
  const address = databaseAddress(databaseUrl);
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.maxConnections ?? 10,
    types,
    application_name: 'ferry',
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    // Longer than the server's own limit: only for a network that swallows the answer.
    query_timeout: statementTimeoutMs + 5_000,
    keepAlive: true,
  });
  // Without a listener, an idle connection that breaks would end the process.
  pool.on('error', (error) => options.onError?.(error));

  const queriesOn = (client: pg.Pool | pg.PoolClient): Queries => ({
    rows: async (row, statement, values = []) => {
      const result = await reachable(address, () => client.query(statement, [...values]));
      return result.rows.map((r: Record<string, unknown>) => parseRow(row, r));
    },
  });

  const begin = { 'read committed': 'BEGIN', snapshot: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' };

  try {
    await reachable(address, () => migrate(pool));
  } catch (error) {
    await pool.end();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    ...queriesOn(pool),
    transaction: (work, kind = 'read committed') =>
      reachable(address, () => inTransaction(pool, begin[kind], (client) => work(queriesOn(client)))),
    close: () => (closing ??= pool.end()),
  };
}
