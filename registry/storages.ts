import * as z from 'zod';
import { deviceName } from '../model/names.ts';
import {
  foundStorage,
  knownStorage,
  storageAdoption,
  type FoundStorage,
  type StorageAdoption,
  type StorageMark,
  type StorageSeen,
} from '../model/storage-identity.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

const storageRow = knownStorage.extend({ found: foundStorage.nullable(), adoption: storageAdoption.nullable() });

/** What the registry knows of a back end's storage. */
export type StorageRow = z.infer<typeof storageRow>;

/** Of one that was never heard of as well: then nothing is known but the registry's own identity. */
export async function readStorage(q: Queries, backEnd: string): Promise<StorageRow> {
  const [row] = await q.rows(
    storageRow,
    `SELECT r.id AS registry, s.identity, s.uuid, s.mount_point, s.sequence, s.found, s.adoption
     FROM registry_identity r LEFT JOIN storages s ON s.back_end = $1`,
    [backEnd],
  );
  return row!;
}

/** The back end whose storage has that identity; null when none has. */
export async function storageHolder(q: Queries, identity: string): Promise<string | null> {
  const [row] = await q.rows(
    z.object({ backEnd: z.string() }),
    'SELECT back_end FROM storages WHERE identity = $1::uuid',
    [identity],
  );
  return row?.backEnd ?? null;
}

/** The devices that the registry has on a back end: of its volumes that are there whole, and kept sources. Names. */
export async function devicesOnRecord(q: Queries, backEnd: string): Promise<string[]> {
  const rows = await q.rows(
    z.object({ id: z.uuid(), nameId: z.uuid().nullable() }),
    `SELECT id, name_id FROM volumes WHERE host = $1 AND operation IS DISTINCT FROM 'create' AND operation IS DISTINCT FROM 'delete'
     UNION ALL
     SELECT volume_id, name_id FROM kept_sources WHERE back_end = $1 AND removing_at IS NULL`,
    [backEnd],
  );
  return rows.map(deviceName);
}

/** Writes which storage is the back end's from now on; what was found instead, and an adoption, are over. May be repeated. */
export async function recordStorage(q: Queries, backEnd: string, mark: StorageMark, seen: StorageSeen): Promise<void> {
  await q.rows(
    noColumns,
    `INSERT INTO storages (back_end, identity, uuid, mount_point, sequence) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (back_end) DO UPDATE SET
       identity = excluded.identity, uuid = excluded.uuid, mount_point = excluded.mount_point, sequence = excluded.sequence,
       found = NULL, adoption = NULL`,
    [backEnd, mark.id, seen.uuid, seen.mountPoint, seen.sequence],
  );
}

/** The newest state in which the storage was seen. Never goes back. */
export async function recordSequence(q: Queries, backEnd: string, sequence: number): Promise<void> {
  await q.rows(noColumns, 'UPDATE storages SET sequence = $2 WHERE back_end = $1 AND sequence < $2', [
    backEnd,
    sequence,
  ]);
}

/** Writes what is in the place of the back end's storage; null: nothing is found wrong any more. */
export async function recordFound(q: Queries, backEnd: string, found: FoundStorage | null): Promise<void> {
  await q.rows(
    noColumns,
    `INSERT INTO storages (back_end, found) VALUES ($1, $2::jsonb)
     ON CONFLICT (back_end) DO UPDATE SET found = excluded.found`,
    [backEnd, found && JSON.stringify(found)],
  );
}

/** Asks the back end's worker to adopt what it found; null takes that back. */
export async function requestAdoption(q: Queries, backEnd: string, adoption: StorageAdoption | null): Promise<void> {
  await q.rows(noColumns, 'UPDATE storages SET adoption = $2::jsonb WHERE back_end = $1', [
    backEnd,
    adoption && JSON.stringify(adoption),
  ]);
}
