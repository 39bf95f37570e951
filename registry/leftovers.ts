import * as z from 'zod';
import { deviceName } from '../model/names.ts';
import { outcome } from '../model/migration.ts';
import type { Queries } from './open-registry.ts';

const currentDevice = z.object({
  id: z.uuid(),
  nameId: z.uuid().nullable(),
  deviceIdentity: z.string().nullable(),
  generation: z.number(),
  sizeBytes: z.number(),
  isHeld: z.boolean(),
  isBetweenSizes: z.boolean(),
  isAttached: z.boolean(),
});

/**
 * A device that holds a volume by the registry. `isHeld`: something is being done to the volume. `isBetweenSizes`: an extension of it has
 * failed, and may have come to its end on the device.
 */
export interface CurrentDevice {
  volumeId: string;
  identity: string | null;
  generation: number;
  sizeBytes: number;
  isHeld: boolean;
  isBetweenSizes: boolean;
  isAttached: boolean;
}

/** The devices that hold a volume on the back end, by name, as the registry has them now. */
export async function currentDevices(registry: Queries, backEnd: string): Promise<ReadonlyMap<string, CurrentDevice>> {
  const rows = await registry.rows(
    currentDevice,
    `SELECT id, name_id, device_identity, generation, size_bytes, status = 'error_extending' AS is_between_sizes,
       migration_owner IS NOT NULL OR operation IS NOT NULL OR status = 'error' OR status = 'error_deleting' AS is_held,
       EXISTS (SELECT FROM attachments a WHERE a.volume_id = v.id) AS is_attached
     FROM volumes v WHERE host = $1`,
    [backEnd],
  );
  return new Map(
    rows.map((row) => [
      deviceName(row),
      {
        volumeId: row.id,
        identity: row.deviceIdentity,
        generation: row.generation,
        sizeBytes: row.sizeBytes,
        isBetweenSizes: row.isBetweenSizes,
        isHeld: row.isHeld,
        isAttached: row.isAttached,
      },
    ]),
  );
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
  generation: z.number(),
  migrationEpoch: z.number(),
  deviceIdentity: z.string().nullable(),
  sizeBytes: z.number(),
});

/** A volume, as far as it tells whether something of it may be removed. */
export type VolumeUse = z.infer<typeof volumeUse>;

const move = z.object({ volumeId: z.uuid(), epoch: z.number(), source: z.string(), destination: z.string() });

/** Every migration on record of these volumes. */
export function movesOf(registry: Queries, volumeIds: readonly string[]): Promise<z.infer<typeof move>[]> {
  return registry.rows(
    move,
    'SELECT volume_id, epoch, source, destination FROM migrations WHERE volume_id = ANY ($1::uuid[]) AND switched_at IS NOT NULL',
    [volumeIds],
  );
}

/** Those of these volumes that there are. */
export function volumeUses(registry: Queries, volumeIds: readonly string[]): Promise<VolumeUse[]> {
  return registry.rows(
    volumeUse,
    `SELECT v.id, v.host, v.name_id, v.generation, v.migration_epoch, v.device_identity, v.size_bytes, v.migration_owner IS NOT NULL OR v.operation IS NOT NULL AS held,
       EXISTS (SELECT FROM attachments a WHERE a.volume_id = v.id) AS attached
     FROM volumes v WHERE v.id = ANY ($1::uuid[])`,
    [volumeIds],
  );
}
