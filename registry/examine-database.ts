import pg from 'pg';
import * as z from 'zod';
import { durabilityRisks } from './durability.ts';
import { knownVersion, schemaVersion } from './migrate.ts';
import { databaseAddress, reachable } from './reachable.ts';
import { parseRow } from './rows.ts';

/** What a database says of itself to somebody who only looks. */
export interface DatabaseSeen {
  readonly version: string;
  /** How far this machine's clock is ahead of Postgres', as far as the question's own time lets one tell. Milliseconds. */
  readonly skew: number;
  /** The newest schema that was applied; 0 in an empty database. */
  readonly schema: number;
  /** The newest that this code has. */
  readonly known: number;
  /** Why commits can be lost. */
  readonly risks: readonly string[];
}

const seen = z.object({ version: z.string(), now: z.date() });

/** Looks at a database and changes nothing, not even its schema. `ServiceUnreachable` when it does not answer in time. */
export async function examineDatabase(databaseUrl: string, answerMs: number): Promise<DatabaseSeen> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  });
  client.on('error', () => {});
  return reachable(databaseAddress(databaseUrl), async () => {
    try {
      await client.connect();
      const rows = async <T>(row: z.ZodType<T>, statement: string, values: readonly unknown[] = []): Promise<T[]> =>
        (await client.query<Record<string, unknown>>(statement, [...values])).rows.map((each) => parseRow(row, each));
      const asked = Date.now();
      const [of] = await rows(seen, `SELECT current_setting('server_version') AS version, clock_timestamp() AS now`);
      const skew = (asked + Date.now()) / 2 - of!.now.getTime();
      return {
        version: of!.version,
        skew,
        schema: await schemaVersion(client),
        known: await knownVersion(),
        risks: await durabilityRisks({ rows }),
      };
    } finally {
      await client.end();
    }
  });
}
