import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { inTransaction } from './in-transaction.ts';
import { databaseAddress, reachable } from './reachable.ts';
import { lockSchema } from './schema-lock.ts';

/** The roles of the registry's users; what each may do stands in sql/grants.sql. They have no login of their own. */
export const databaseRoles = ['ferry_control', 'ferry_storage', 'ferry_compute', 'ferry_api', 'ferry_reader'] as const;
export type DatabaseRole = (typeof databaseRoles)[number];

/**
 * Makes the roles and gives each its rights; the database has its schema already, and its owner, who may make roles, asks. May be repeated.
 * `ServiceUnreachable` when Postgres does not answer, or does not let him.
 */
export async function provideRoles(databaseUrl: string): Promise<void> {
  const { roles } = await roleStatements();
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  pool.on('error', () => {});
  try {
    await reachable(databaseAddress(databaseUrl), async () => {
      await pool.query(roles);
      await inTransaction(pool, 'BEGIN', grantRights);
    });
  } finally {
    await pool.end();
  }
}

/**
 * Within a transaction of the schema's owner: gives each role its rights, and takes all others. Where there are no roles, nobody needs any.
 */
export async function grantRights(client: pg.PoolClient): Promise<void> {
  await lockSchema(client);
  const { rows } = await client.query<{ there: boolean }>(`SELECT to_regrole('ferry_reader') IS NOT NULL AS there`);
  if (rows[0]?.there) await client.query((await roleStatements()).grants);
}

/** The SQL of both, for somebody who runs it by hand. */
export async function roleStatements(): Promise<{ roles: string; grants: string }> {
  const [roles = '', grants = ''] = await Promise.all(
    ['roles', 'grants'].map((name) => readFile(new URL(`./sql/${name}.sql`, import.meta.url), 'utf8')),
  );
  return { roles, grants };
}
