import type pg from 'pg';

/** Any number, but the same in every Ferry. */
const advisoryLock = 6_077_279;

/** Within a transaction: whoever changes the schema or the rights on it comes after who does so now. */
export async function lockSchema(client: pg.PoolClient): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [advisoryLock]);
}
