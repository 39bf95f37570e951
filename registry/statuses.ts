import * as z from 'zod';
import type { Queries } from './open-registry.ts';

/** The statuses of those of these volumes, or snapshots, that there are, by id. */
export async function statusesAmong(
  registry: Queries,
  table: 'volumes' | 'snapshots',
  ids: readonly string[],
): Promise<Map<string, string>> {
  const found = await registry.rows(
    z.object({ id: z.string(), status: z.string() }),
    `SELECT id, status FROM ${table} WHERE id = ANY ($1::uuid[])`,
    [ids],
  );
  return new Map(found.map(({ id, status }) => [id, status]));
}
