import * as z from 'zod';
import { discrepancy, type Discrepancy } from '../model/repair.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** Whether the devices of a back end, or those of a volume, do not agree with the registry, as far as the last look told. */
export async function needsRepair(
  registry: Queries,
  backEnd: string,
  volumeId: string | null = null,
): Promise<boolean> {
  const found = await registry.rows(
    noColumns,
    'SELECT FROM discrepancies WHERE back_end = $1 OR volume_id = $2 LIMIT 1',
    [backEnd, volumeId],
  );
  return found.length > 0;
}

/** What does not fit, of one volume or of all. */
export function listDiscrepancies(
  registry: Queries,
  filter: { volumeId?: string | undefined } = {},
): Promise<Discrepancy[]> {
  return registry.rows(
    discrepancy,
    `SELECT * FROM discrepancies WHERE ($1::uuid IS NULL OR volume_id = $1) ORDER BY volume_id, back_end, device_name`,
    [filter.volumeId ?? null],
  );
}

/** How many devices of each back end do not fit; those where all do are left out. */
export async function countDiscrepancies(registry: Queries): Promise<Map<string, number>> {
  const rows = await registry.rows(
    z.object({ backEnd: z.string(), found: z.number() }),
    'SELECT back_end, count(*)::int AS found FROM discrepancies GROUP BY back_end',
  );
  return new Map(rows.map(({ backEnd, found }) => [backEnd, found]));
}

/** Writes what a look at these back ends has found: what was found before and is not now is gone. May be repeated. */
export function recordDiscrepancies(
  registry: Registry,
  { backEnds, found }: { backEnds: readonly string[]; found: readonly Omit<Discrepancy, 'foundAt'>[] },
): Promise<void> {
  return registry.transaction(async (q) => {
    await q.rows(
      noColumns,
      `DELETE FROM discrepancies d WHERE back_end = ANY ($1)
         AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS f (back_end, device_name)
                         WHERE f.back_end = d.back_end AND f.device_name = d.device_name)`,
      [[...backEnds], found.map((f) => f.backEnd), found.map((f) => f.deviceName)],
    );
    await q.rows(
      noColumns,
      `INSERT INTO discrepancies (back_end, device_name, volume_id, why, device)
       SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::jsonb[])
       ON CONFLICT (back_end, device_name) DO UPDATE SET
         volume_id = excluded.volume_id, why = excluded.why, device = excluded.device`,
      [
        found.map((f) => f.backEnd),
        found.map((f) => f.deviceName),
        found.map((f) => f.volumeId),
        found.map((f) => f.why),
        found.map((f) => (f.device === null ? null : JSON.stringify(f.device))),
      ],
    );
  });
}
