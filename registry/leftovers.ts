import * as z from 'zod';
import { deviceName } from '../model/names.ts';
import { outcome } from '../model/migration.ts';
import type { Queries } from './open-registry.ts';

/** The names of the devices that hold a volume on the back end, as the registry has them now. */
export async function currentDevices(registry: Queries, backEnd: string): Promise<ReadonlySet<string>> {
  const rows = await registry.rows(
    z.object({ id: z.uuid(), nameId: z.uuid().nullable() }),
    'SELECT id, name_id FROM volumes WHERE host = $1',
    [backEnd],
  );
  return new Set(rows.map(deviceName));
}

/** Postgres' time, by which all is judged that has a time in the registry. */
export async function registryTime(registry: Queries): Promise<Date> {
  const [at] = await registry.rows(z.object({ now: z.date() }), 'SELECT now()::timestamptz(3) AS now');
  return at!.now;
}

const endedMigration = z.object({
  id: z.uuid(),
  volumeId: z.uuid(),
  source: z.string(),
  sourceNameId: z.uuid().nullable(),
  outcome: outcome.nullable(),
  finishedAt: z.date().nullable(),
});

/** A migration, as far as it tells who owns what it made or left. */
export type LeavingMigration = z.infer<typeof endedMigration>;

/** The migrations of these ids, and the last one by which each of these volumes left each back end. */
export function migrationsThatLeft(
  registry: Queries,
  of: { migrationIds: readonly string[]; volumeIds: readonly string[] },
): Promise<LeavingMigration[]> {
  return registry.rows(
    endedMigration,
    `SELECT id, volume_id, source, source_name_id, outcome, finished_at FROM migrations
     WHERE id = ANY ($1::uuid[]) OR (volume_id = ANY ($2::uuid[]) AND switched_at IS NOT NULL) ORDER BY epoch DESC`,
    [of.migrationIds, of.volumeIds],
  );
}

const volumeUse = z.object({
  id: z.uuid(),
  host: z.string(),
  nameId: z.uuid().nullable(),
  held: z.boolean(),
  attached: z.boolean(),
});

/** A volume, as far as it tells whether something of it may be removed. */
export type VolumeUse = z.infer<typeof volumeUse>;

/** Those of these volumes that there are. */
export function volumeUses(registry: Queries, volumeIds: readonly string[]): Promise<VolumeUse[]> {
  return registry.rows(
    volumeUse,
    `SELECT v.id, v.host, v.name_id, v.migration_owner IS NOT NULL OR v.operation IS NOT NULL AS held,
       EXISTS (SELECT FROM attachments a WHERE a.volume_id = v.id) AS attached
     FROM volumes v WHERE v.id = ANY ($1::uuid[])`,
    [volumeIds],
  );
}
